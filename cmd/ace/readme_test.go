package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/acebridge/ace/cmd/ace/internal/run"
)

const repository = "../.."

// readPapers reads README.md and docs/*.md, by path in the repository.
func readPapers(t *testing.T) map[string]string {
	t.Helper()
	docs, err := filepath.Glob(repository + "/docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no papers in docs/ (%v)", err)
	}
	papers := map[string]string{}
	for _, path := range append(docs, repository+"/README.md") {
		raw, err := os.ReadFile(path) //nolint:gosec // of this repository
		if err != nil {
			t.Fatal(err)
		}
		papers[strings.TrimPrefix(path, repository+"/")] = string(raw)
	}
	return papers
}

var shownCommand = regexp.MustCompile("(?m)(?:^\\$ (?:\\./ace|go run \\./cmd/ace)|^ace|`ace) ([a-z][^`#\n]*)")

// What the papers show of the command exists: every command and flag.
func TestPapersShowRealCommands(t *testing.T) {
	papers := readPapers(t)
	for paper, atLeast := range map[string]int{
		"README.md": 6, "docs/operate.md": 15, "docs/use.md": 40, "docs/apps.md": 2, "docs/security.md": 10,
	} {
		if found := len(shownCommand.FindAllString(papers[paper], -1)); found < atLeast {
			t.Errorf("only %d commands were found in %s", found, paper)
		}
	}
	for paper, text := range papers {
		t.Run(paper, func(t *testing.T) {
			for _, m := range shownCommand.FindAllStringSubmatch(text, -1) {
				args := words(m[1])
				if !strings.HasPrefix(m[0], "`") { // a whole command line; in the text only the command's name is meant
					runnable(t, args)
					continue
				}
				name := args[:1]
				if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
					name = args[:2]
				}
				if cmd, rest, err := newApp(os.Stdin, os.Stdout, os.Stderr).rootCommand().Find(name); err != nil || cmd.Name() == "ace" ||
					(len(rest) > 0 && cmd.HasSubCommands()) {
					t.Errorf("there is no `ace %s`", m[1])
				}
			}
		})
	}
}

// The table of variables names all that are read.
func TestPapersNameEveryVariable(t *testing.T) {
	text := readPapers(t)["docs/operate.md"]
	for _, name := range run.Variables() {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/operate.md does not name %s", name)
		}
	}
}

// The README is short, has the test command that .ci/run takes from it, and names every paper.
func TestReadme(t *testing.T) {
	papers := readPapers(t)
	readme := papers["README.md"]
	if len(readme) > 9216 {
		t.Errorf("README.md has %d bytes: move what is not for a first visit to docs/", len(readme))
	}
	if !regexp.MustCompile(`(?m)^go test \./\.\.\.`).MatchString(readme) {
		t.Error("README.md has no test command")
	}
	for paper := range papers {
		if paper != "README.md" && !strings.Contains(readme, "]("+paper+")") {
			t.Errorf("README.md does not link to %s", paper)
		}
	}
}

// Links between the papers lead to files and headings that exist.
func TestPapersLinksLead(t *testing.T) {
	papers := readPapers(t)
	for paper, text := range papers {
		for _, m := range regexp.MustCompile(`\]\(([^)#: ]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(text, -1) {
			target := paper
			if m[1] != "" {
				target = path.Join(path.Dir(paper), m[1])
			}
			if _, err := os.Stat(repository + "/" + target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", paper, m[0])
			} else if m[2] != "" && !slices.Contains(anchors(papers[target]), m[2]) {
				t.Errorf("%s: %s has no heading #%s", paper, target, m[2])
			}
		}
	}
}

// anchors are GitHub's names for the headings of a paper.
func anchors(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func runnable(t *testing.T, args []string) {
	t.Helper()
	cmd, rest, err := newApp(os.Stdin, os.Stdout, os.Stderr).rootCommand().Find(args)
	if err != nil || cmd.Name() == "ace" {
		t.Errorf("there is no command %v (%v)", args, err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%v: %v", args, err)
	} else if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%v: %v", args, err)
	}
}

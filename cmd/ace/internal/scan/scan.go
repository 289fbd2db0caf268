package scan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

const (
	scanWindow  = 256 << 10
	scanOverlap = 4 << 10 // longer than a key or a join token and what surrounds it, even in UTF-32
	maxScan     = 4 << 30
)

// finding is a key in a file. It never has the secret, since a scanner's output ends up in logs.
type finding struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"` // in bytes
	Prefix string `json:"prefix"`
	KeyID  string `json:"key_id,omitempty"` // empty: a join token
	Kind   string `json:"kind"`
}

type result struct {
	Findings []finding `json:"findings"`
	Files    int       `json:"files"`
	Skipped  []string  `json:"skipped,omitempty"` // what could not be searched
	why      []string  // for each of Skipped
	missing  []error   // one for each path that does not exist
}

func (r *result) skip(path, why string) {
	r.Skipped, r.why = append(r.Skipped, path), append(r.why, why)
}

// Scanner looks for keys in the paths of a command line.
type Scanner struct {
	Term *term.Terminal // required
}

// Command returns `ace scan`.
func (s *Scanner) Command() *cobra.Command {
	return &cobra.Command{Use: "scan [PATH…|-]", Short: "Find API keys and join tokens in files, offline",
		Long: `Find API keys and join tokens in files, offline. Keys are recognized by pattern and checksum, so lookalikes are not reported. Secrets are not printed.

Folders are searched with everything in them except .git; without a path, the current folder is searched; - is stdin. A link, a pipe
or a device is followed only if you name it. Text can be UTF-8, UTF-16 or UTF-32. gzip, bzip2 and zip files are unpacked, one level
deep; other packed files are searched as they are, and named.

Exit codes: 0 no keys found; 1 keys found, or something was not searched, which is named; 2 a path does not exist, and the others
hold no keys.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			r := result{Findings: []finding{}}
			for _, path := range args {
				if err := s.scanPath(cmd.Context(), path, &r); err != nil {
					return err
				}
			}
			err := s.Term.Print(r, func(w io.Writer) {
				if len(r.Findings) > 0 {
					term.Row(w, "FILE", "KEY", "KEY ID")
				}
				for _, f := range r.Findings {
					term.Row(w, fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column), f.Prefix+"…", f.KeyID)
				}
			})
			for i, path := range r.Skipped {
				s.Term.Say("not searched: %s: %s", bridge.Printable(path), r.why[i])
			}
			if len(r.Findings) > 0 || len(r.missing) > 1 {
				for _, err := range r.missing {
					s.Term.Say("%s", bridge.Printable(s.Term.Without(term.Explain(err)).Detail)) // a word that is not a path may be a secret
				}
			}
			switch {
			case err != nil:
				return err
			case len(r.Findings) > 0:
				return bridge.E(bridge.Invalid, bridge.CodeKeysFound, "%s in %s", term.Count(len(r.Findings), "key"),
					term.Count(r.Files, "file")).
					WithHint("revoke each on its server: ace api-key revoke KEY-ID --server URL; removing it from the file is not enough")
			case len(r.missing) > 0:
				return r.missing[0]
			case len(r.Skipped) > 0:
				return bridge.E(bridge.Internal, bridge.CodeNotAllRead, "no keys in %s, and %d could not be searched",
					term.Count(r.Files, "file"), len(r.Skipped)).
					WithHint("run it as a user who may read them; links, pipes and devices are searched if you name them")
			case r.Files == 0:
				return bridge.E(bridge.Invalid, bridge.CodeNothingScanned, "there are no files to search").
					WithHint("name files, folders, or - for stdin")
			}
			s.Term.Note("no keys in %s", term.Count(r.Files, "file"))
			return nil
		}}
}

func (s *Scanner) scanPath(ctx context.Context, path string, r *result) error {
	if path == "-" {
		if s.Term.StdinUsed {
			r.skip("-", "stdin has already been read")
			return nil
		}
		s.Term.StdinUsed = true
		return scanNamed(ctx, "-", s.Term.In, r)
	}
	info, err := os.Stat(path) // follows a link, since it was named
	if err != nil {            // the other paths are still searched
		r.missing = append(r.missing, term.Usage("cannot scan: %s", err))
		return nil
	}
	if !info.IsDir() {
		return s.scanFile(ctx, path, os.O_RDONLY, r)
	}
	root := path
	if last := len(path) - 1; !os.IsPathSeparator(path[last]) {
		root += string(filepath.Separator) // otherwise WalkDir does not follow a link to a folder
	}
	return filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.skip(file, reason(err))
			return nil
		case entry.IsDir() && entry.Name() == ".git" && file != root:
			return filepath.SkipDir
		case entry.IsDir():
			return nil
		}
		return s.scanEntry(ctx, root, file, entry, r)
	})
}

// scanEntry searches one entry of a folder. It skips a link to somewhere in the folder, which is searched anyway.
func (s *Scanner) scanEntry(ctx context.Context, root, file string, entry fs.DirEntry, r *result) error {
	if entry.Type()&fs.ModeSymlink != 0 {
		target, err := filepath.EvalSymlinks(file)
		if err != nil {
			r.skip(file, "it is a broken link")
			return nil
		}
		if base, err := filepath.EvalSymlinks(root); err == nil && within(base, target) {
			return nil
		}
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		r.skip(file, reason(err))
	case info.IsDir():
		r.skip(file, "it is a link to a folder elsewhere; name it to have it searched")
	case !info.Mode().IsRegular():
		r.skip(file, notAFile)
	default:
		return s.scanFile(ctx, file, os.O_RDONLY|syscall.O_NONBLOCK, r) // a pipe may have taken its place
	}
	return nil
}

const notAFile = "it is a pipe, a socket or a device, not a file"

// within reports whether a folder's search covers a path.
func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	if err != nil {
		return false
	}
	first := strings.Split(rel, string(filepath.Separator))
	return first[0] != ".." && !slices.Contains(first, ".git")
}

// reason returns the cause of a file error, without the name.
func reason(err error) string { return files.WithoutPath(err).Error() }

// scanFile searches a file, pipe or device.
func (s *Scanner) scanFile(ctx context.Context, path string, how int, r *result) error {
	f, err := term.Await(s.Term, func() (*os.File, error) { return os.OpenFile(path, how, 0) }) //nolint:gosec // the person names it; a pipe may have no writer
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.skip(path, reason(err))
		return nil
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); how != os.O_RDONLY && (err != nil || !info.Mode().IsRegular()) {
		r.skip(path, notAFile)
		return nil
	}
	return scanNamed(ctx, path, f, r)
}

// scanReader searches a stream in windows that overlap. So no file is held as a whole, and no key falls between two windows.
func scanReader(ctx context.Context, name string, in io.Reader, r *result) error {
	buf := make([]byte, 0, scanWindow)
	line, column := 1, 1
	for first, end := true, false; !end; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(in, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if end = err == io.EOF || err == io.ErrUnexpectedEOF; err != nil && !end { //nolint:errorlint // as io documents them
			return err
		}
		// What begins in the last part of a window is found in the next one, which has all of it.
		limit := len(buf)
		if !end {
			limit -= scanOverlap
		}
		for _, found := range keysIn(buf) {
			start := found.start
			if start > limit || (start == 0 && !first) {
				continue // the next window has all of it, or the one before had
			}
			l, c := position(buf[:start], line, column)
			found.File, found.Line, found.Column = name, l, c
			r.Findings = append(r.Findings, found.finding)
		}
		if !end {
			line, column = position(buf[:limit], line, column)
			buf = buf[:copy(buf, buf[limit:])]
		}
	}
	return nil
}

type foundKey struct {
	start int
	finding
}

// joinToken is the kind of a join token among findings.
const joinToken = "join_token"

// keysIn lists the keys and join tokens in a window, and where they begin. If the text may be UTF-16 or UTF-32, it is searched without its NUL
// bytes as well.
func keysIn(buf []byte) []foundKey {
	var out []foundKey
	find := func(text []byte, at func(int) int) {
		for _, m := range bridge.KeyPattern.FindAllIndex(text, -1) {
			if key, err := bridge.ParseKey(bridge.NewSecret(string(text[m[0]:m[1]]))); err == nil {
				out = append(out, foundKey{at(m[0]), finding{Prefix: key.Prefix(), KeyID: key.ID.String(), Kind: string(key.Kind)}})
			}
		}
		for _, m := range bridge.JoinTokenPattern.FindAllIndex(text, -1) {
			if _, err := bridge.ParseJoinToken(bridge.NewSecret(string(text[m[0]:m[1]]))); err == nil {
				out = append(out, foundKey{at(m[0]), finding{Prefix: "ace_jt1", Kind: joinToken}})
			}
		}
	}
	find(buf, func(i int) int { return i })
	if bytes.Contains(buf, []byte("a\x00c\x00e\x00_")) || bytes.Contains(buf, []byte("a\x00\x00\x00c\x00\x00\x00e\x00\x00\x00_")) {
		text, places := make([]byte, 0, len(buf)), make([]int, 0, len(buf))
		for i, b := range buf {
			if b != 0 {
				text, places = append(text, b), append(places, i)
			}
		}
		plain := len(out)
		find(text, func(i int) int { return places[i] })
		kept := slices.Clone(out[:plain])
		for _, f := range out[plain:] {
			if !slices.ContainsFunc(kept, func(k foundKey) bool { return k.start == f.start }) {
				kept = append(kept, f)
			}
		}
		out = kept
	}
	slices.SortFunc(out, func(a, b foundKey) int { return a.start - b.start })
	return out
}

// position returns the line and column after some bytes.
func position(passed []byte, line, column int) (int, int) {
	if n := bytes.Count(passed, []byte("\n")); n > 0 {
		return line + n, len(passed) - bytes.LastIndexByte(passed, '\n')
	}
	return line, column + len(passed)
}

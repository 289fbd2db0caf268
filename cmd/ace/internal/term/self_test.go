package term

import "testing"

func TestSelfCommand(t *testing.T) {
	const cached = "/somewhere/2f/2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c-d/ace"
	for name, c := range map[string]struct {
		path, typed string
		found       bool
		want        string
	}{
		"go run":                     {"/tmp/go-build123/b001/exe/ace", "/tmp/go-build123/b001/exe/ace", false, "go run ./cmd/ace"},
		"go run of a cached program": {cached, cached, false, "go run ./cmd/ace"},
		"installed":                  {"/usr/local/bin/ace", "ace", true, "ace"},
		"built here":                 {"/home/ada/ace/ace", "./ace", false, "./ace"},
		"a path with a space":        {"/home/ada/my ace/ace", "../my ace/ace", false, `"../my ace/ace"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := selfCommandOf(c.path, c.typed, c.found); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
)

const (
	scanWindow  = 256 << 10
	scanOverlap = 256 // more than a key and what stands around it
)

// finding is a key in a file. It never has the secret: the output of a scanner ends up in logs.
type finding struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"` // in bytes
	Prefix string `json:"prefix"`
	KeyID  string `json:"key_id"`
	Kind   string `json:"kind"`
}

type scanResult struct {
	Findings []finding `json:"findings"`
	Files    int       `json:"files"`
	Skipped  []string  `json:"skipped,omitempty"` // files that could not be read
}

func (a *app) scanCommand() *cobra.Command {
	return &cobra.Command{Use: "scan [PATH…|-]", Short: "Find API keys in files, offline",
		Long: `Find API keys in files, offline: by their pattern and checksum, so that what looks like a key and is none is not reported.

Folders are searched with all that is in them but .git; - is stdin; without a path it is the current folder. The secret is
not printed. Exit code 0: none found; 1: some found, or some file could not be read.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			r := scanResult{Findings: []finding{}}
			for _, path := range args {
				if err := a.scanPath(cmd.Context(), path, &r); err != nil {
					return err
				}
			}
			err := a.print(r, func(w io.Writer) {
				if len(r.Findings) > 0 {
					row(w, "FILE", "KEY", "KEY ID")
				}
				for _, f := range r.Findings {
					row(w, fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column), f.Prefix+"…", f.KeyID)
				}
			})
			for _, path := range r.Skipped {
				a.say("could not read %s", printable(path))
			}
			switch {
			case err != nil:
				return err
			case len(r.Findings) > 0:
				return bridge.E(bridge.Invalid, "keys_found", "%d keys in %d files", len(r.Findings), r.Files).
					WithHint("revoke each on its server: ace api-key revoke KEY-ID --server URL; removing it from the file does not")
			case len(r.Skipped) > 0:
				return bridge.E(bridge.Internal, "not_all_read", "no keys in %d files, and %d could not be read", r.Files, len(r.Skipped)).
					WithHint("run it as a user who may read them")
			}
			a.note("no keys in %d files", r.Files)
			return nil
		}}
}

func (a *app) scanPath(ctx context.Context, path string, r *scanResult) error {
	if path == "-" {
		r.Files++
		return scanReader(ctx, "-", a.in, r)
	}
	if _, err := os.Stat(path); err != nil {
		return usage("cannot scan: %s", err)
	}
	return filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.Skipped = append(r.Skipped, file)
			return nil
		case entry.IsDir() && entry.Name() == ".git":
			return filepath.SkipDir
		}
		info, err := os.Stat(file) // a link that was named itself is followed, others lead elsewhere or back
		if err != nil || !info.Mode().IsRegular() || (entry.Type()&fs.ModeSymlink != 0 && file != path) {
			return nil //nolint:nilerr // a socket, a device, a dangling link
		}
		if err := scanFile(ctx, file, r); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.Skipped = append(r.Skipped, file)
		}
		return nil
	})
}

func scanFile(ctx context.Context, path string, r *scanResult) error {
	f, err := os.Open(path) //nolint:gosec // the person names it
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r.Files++
	return scanReader(ctx, path, f, r)
}

// scanReader looks through what it reads in windows that overlap, so that no file is held as a whole and no key falls
// between two windows.
func scanReader(ctx context.Context, name string, in io.Reader, r *scanResult) error {
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
		for _, at := range bridge.KeyPattern.FindAllIndex(buf, -1) {
			start, stop := at[0], at[1]
			if start > limit {
				break
			}
			if start == 0 && !first {
				continue // the window before has had it
			}
			key, err := bridge.ParseKey(bridge.NewSecret(string(buf[start:stop])))
			if err != nil {
				continue
			}
			l, c := position(buf[:start], line, column)
			r.Findings = append(r.Findings, finding{File: name, Line: l, Column: c, Prefix: key.Prefix(), KeyID: key.ID.String(), Kind: string(key.Kind)})
		}
		if !end {
			line, column = position(buf[:limit], line, column)
			buf = buf[:copy(buf, buf[limit:])]
		}
	}
	return nil
}

// position is the line and column after some bytes.
func position(passed []byte, line, column int) (int, int) {
	if n := bytes.Count(passed, []byte("\n")); n > 0 {
		return line + n, len(passed) - bytes.LastIndexByte(passed, '\n')
	}
	return line, column + len(passed)
}

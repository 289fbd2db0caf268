package scan

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// packings lists the kinds of packed files by their first bytes. Those without a reader are searched as they are, and named.
var packings = []struct {
	name, magic string
	open        func(io.Reader) (io.Reader, error)
}{
	{"gzip", "\x1f\x8b", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"bzip2", "BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{name: zipped, magic: "PK\x03\x04"}, {name: "xz", magic: "\xfd7zXZ\x00"}, {name: "zstd", magic: "\x28\xb5\x2f\xfd"}, {name: "7z", magic: "7z\xbc\xaf\x27\x1c"},
	{name: "rar", magic: "Rar!\x1a\x07"}, {name: "lz4", magic: "\x04\x22\x4d\x18"}, {name: "compress", magic: "\x1f\x9d"},
}

const (
	zipped     = "zip"
	maxMembers = 100_000 // of an archive
)

// scanNamed searches a stream under a name. It stops at a bound, since a device may have no end. Packed streams are unpacked
// once.
func scanNamed(ctx context.Context, name string, in io.Reader, r *result) error {
	buffered := bufio.NewReader(in)
	start, _ := buffered.Peek(8)
	for _, p := range packings {
		if !bytes.HasPrefix(start, []byte(p.magic)) {
			continue
		}
		if f, isFile := in.(*os.File); isFile && p.name == zipped && scanZip(ctx, name, f, r) {
			r.Files++
			return ctx.Err()
		}
		if p.open == nil {
			r.skip(name, "it is packed ("+p.name+"), and was searched without unpacking it")
			return scanBounded(ctx, name, buffered, r)
		}
		unpacked, err := p.open(buffered)
		if err == nil {
			err = scanMember(ctx, name, unpacked, r)
		}
		if err != nil && ctx.Err() == nil {
			r.skip(name, fmt.Sprintf("it is packed (%s) and cannot be unpacked: %s", p.name, reason(err)))
			return nil
		}
		r.Files++
		return err
	}
	err := scanBounded(ctx, name, buffered, r)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.skip(name, reason(err))
	default:
		r.Files++
	}
	return nil
}

// scanMember searches an unpacked stream. If that is packed again, it is searched as it is, and named.
func scanMember(ctx context.Context, name string, in io.Reader, r *result) error {
	buffered := bufio.NewReader(whole{in})
	start, _ := buffered.Peek(8)
	for _, p := range packings {
		if bytes.HasPrefix(start, []byte(p.magic)) {
			r.skip(name, "it is packed ("+p.name+") in a packed file, and was searched without unpacking it")
		}
	}
	return scanBounded(ctx, name, buffered, r)
}

// whole reports a stream that ends too early.
type whole struct{ io.Reader }

func (w whole) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it ends too early")
	}
	return n, err
}

// scanBounded searches a stream up to a bound, and reports reaching it.
func scanBounded(ctx context.Context, name string, in io.Reader, r *result) error {
	bounded := &io.LimitedReader{R: in, N: maxScan}
	err := scanReader(ctx, name, bounded, r)
	if err == nil && bounded.N <= 0 {
		r.skip(name, "it is larger than 4 GiB, and only the start was searched")
	}
	return err
}

// scanZip searches an archive's members. It returns false if the archive cannot be read. Members that cannot be read are named.
func scanZip(ctx context.Context, name string, f *os.File, r *result) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	archive, err := zip.NewReader(f, info.Size())
	if err != nil || len(archive.File) > maxMembers {
		return false
	}
	for _, member := range archive.File {
		if ctx.Err() != nil || member.FileInfo().IsDir() {
			continue
		}
		inside := name + "!" + member.Name
		content, err := member.Open()
		if err == nil {
			err = scanMember(ctx, inside, content, r)
			_ = content.Close()
		}
		if err != nil && ctx.Err() == nil {
			r.skip(inside, reason(err))
		}
	}
	return true
}

package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/acebridge/ace/bridge"
)

const maxEnvFile = 64 << 10

// ReadSmallFile reads a secret or setting of bounded size; see [bridge.OutsideText].
func ReadSmallFile(path string) (string, error) {
	text, err := ReadNamedFile(path)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return text, err
}

// ReadNamedFile is ReadSmallFile without the path in its errors. People sometimes pass the content instead of a path.
func ReadNamedFile(path string) (string, error) {
	raw, err := ReadBounded(path, maxEnvFile)
	if err != nil {
		return "", err
	}
	text, err := bridge.OutsideText(raw)
	if err == nil && text == "" {
		err = errors.New("it is empty")
	}
	return text, err
}

// ReadBounded reads a file of at most so many bytes, unchanged. Its errors do not name the path.
func ReadBounded(path string, most int64) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator or the person names the file
	if err != nil {
		return "", WithoutPath(err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", WithoutPath(err)
	}
	if int64(len(raw)) > most {
		return "", errors.New("it is too large")
	}
	return string(raw), nil
}

// WithoutPath returns the cause of a file error, without the path.
func WithoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

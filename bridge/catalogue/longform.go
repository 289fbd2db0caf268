package catalogue

import (
	"bytes"
	"errors"
	"github.com/acebridge/ace/bridge"
	"io"
	"strings"
)

const (
	maxMultipart  = 1 << 20 // bytes of a form that is read as a whole; longer ones are checked on their way to the app
	maxBoundary   = 70      // RFC 2046 section 5.1.1
	maxPartHeader = 16 << 10
	scanAtOnce    = 32 << 10
)

// checkLongForm passes a long multipart form through a [longForm], or refuses it if its parts cannot be told apart.
func checkLongForm(r Request, contentType, boundary string) error {
	if boundary == "" || len(boundary) > maxBoundary || strings.Count(strings.ToLower(contentType), "boundary") != 1 {
		return refuse(bridge.CodeFormMalformed, "the boundary of the form is missing or ambiguous")
	}
	if r.Watch == nil {
		return refuse(bridge.CodeBodyUnseen, "a form of more than %d bytes cannot be checked here", maxMultipart)
	}
	r.Watch(func(body io.Reader) io.Reader {
		return &longForm{from: body, boundary: boundary, delimiter: []byte("--" + boundary)}
	})
	return nil
}

// longForm forwards a multipart form, but cuts it off before a part that overrides the method. It holds back each part's header
// until it is checked (RFC 2046 section 5.1.1).
type longForm struct {
	from      io.Reader
	boundary  string
	delimiter []byte
	space     []byte // memory of held and ready
	held      []byte // read but not checked
	ready     []byte // checked but not forwarded
	header    bool   // held begins right after a delimiter
	err       error  // to be returned after ready
}

// Read implements io.Reader.
func (f *longForm) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(f.ready) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.fill()
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

// fill reads more of the form and makes the checked part of it ready.
func (f *longForm) fill() {
	if f.space == nil {
		f.space = make([]byte, maxPartHeader+scanAtOnce)
	}
	f.held = f.space[:copy(f.space, f.held)] // held is never longer than a header
	n, err := f.from.Read(f.space[len(f.held):])
	f.held = f.held[:len(f.held)+n]
	looked := 0
	if f.err = err; err == nil || errors.Is(err, io.EOF) {
		var refusal error
		if looked, refusal = f.look(err != nil); refusal != nil {
			f.err = refusal
		}
	}
	f.ready, f.held = f.held[:looked], f.held[looked:]
}

// look checks the held bytes and returns how many of them may pass; last is set at the end of the form.
func (f *longForm) look(last bool) (looked int, err error) {
	for {
		rest := f.held[looked:]
		switch at := bytes.Index(rest, f.delimiter); {
		case !f.header && at >= 0:
			looked, f.header = looked+at+len(f.delimiter), true
			continue
		case !f.header && last:
			return len(f.held), nil
		case !f.header:
			return max(looked, len(f.held)-len(f.delimiter)+1), nil
		}
		end := bytes.Index(rest, []byte("\r\n\r\n"))
		switch {
		case end < 0 && len(rest) > maxPartHeader || end > maxPartHeader:
			return looked, refuse(bridge.CodeFormMalformed, "a part of the form has a header of more than %d bytes", maxPartHeader)
		case end < 0 && !last:
			return looked, nil
		case end < 0: // the form has ended, or was broken off
			if overridesInParts(f.part(rest), f.boundary) {
				return looked, overrideIn("form")
			}
			return len(f.held), nil
		}
		if err := f.checkHeader(rest[:end]); err != nil {
			return looked, err
		}
		looked, f.header = looked+end, false
	}
}

// checkHeader refuses a part's header that overrides the method, or that readers could parse differently.
func (f *longForm) checkHeader(header []byte) error {
	lines := strings.Split(string(header), "\r\n")
	for i, line := range lines {
		folded := i > 0 && line != strings.TrimLeft(line, " \t")
		if folded || strings.ContainsAny(line, "\r\n") || strings.Contains(line, "--"+f.boundary) {
			return refuse(bridge.CodeFormMalformed, "the header of a part of the form can be read in two ways")
		}
	}
	if overridesInParts(f.part([]byte("\r\n"+strings.Join(lines[1:], "\r\n"))), f.boundary) {
		return overrideIn("form")
	}
	return nil
}

// part returns a form with one part that has the given header.
func (f *longForm) part(header []byte) []byte {
	return bytes.Join([][]byte{f.delimiter, header, []byte("\r\n\r\n\r\n"), f.delimiter, []byte("--\r\n")}, nil)
}

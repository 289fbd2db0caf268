package catalogue_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

const longerThanRead = 1<<20 + 1

// passLong sends a long form through the rules, and returns the part of it that reaches the app.
func passLong(t testing.TB, c catalogue.Catalogue, contentType string, body io.Reader) (string, error) {
	t.Helper()
	r := post("/open", "")
	r.Header, r.Length = http.Header{"Content-Type": {contentType}}, longerThanRead
	r.Watch = func(through func(io.Reader) io.Reader) { body = through(body) }
	if err := c.Decide(holding("acme", "app"), r); err != nil {
		return "", err
	}
	got, err := io.ReadAll(body)
	return string(got), err
}

func TestLongForms(t *testing.T) {
	c, err := catalogue.Parse([]byte(adminRules))
	if err != nil {
		t.Fatal(err)
	}
	const kind, no, odd = "multipart/form-data; boundary=b0", "override_parameter", "form_malformed"
	part := func(header, body string) string { return "--b0\r\n" + header + "\r\n\r\n" + body + "\r\n" }
	named := func(name, body string) string { return part(`Content-Disposition: form-data; name="`+name+`"`, body) }
	file := named(`f"; filename="a.bin`, strings.Repeat("\r\n\x00--b1-_method\n", 2_000))
	const end, stop = "--b0--\r\n", `form-data; name="_method"`
	for name, test := range map[string]struct {
		contentType, body string
		want              bridge.Code
	}{
		"a file":                    {kind, file + end, ""},
		"fields and an epilogue":    {kind, "preamble\r\n" + named("a", "1") + file + named("b", "") + end + "epilogue", ""},
		"a part without a header":   {kind, part("", "x") + end, ""},
		"nothing":                   {kind, "", ""},
		"broken off":                {kind, file + "--b0\r\nContent-Disp", ""},
		"the override last":         {kind, file + named("_method", "DELETE") + end, bridge.CodeOverrideParameter},
		"in another spelling":       {kind, named("_METHOD[]", "DELETE") + file + end, bridge.CodeOverrideParameter},
		"encoded":                   {kind, file + named("%5fmethod", "DELETE") + end, bridge.CodeOverrideParameter},
		"broken off after its name": {kind, file + "--b0\r\nContent-Disposition: " + stop, bridge.CodeOverrideParameter},
		"two dispositions": {kind, part("Content-Disposition: form-data; name=a\r\nContent-Disposition: "+stop, "x"),
			bridge.CodeOverrideParameter},
		"an extended name": {kind, part(`Content-Disposition: form-data; name="a"; name*=utf-8''_method`, "x"),
			bridge.CodeOverrideParameter},
		"padding after the delimiter": {kind, "--b0 \t\r\nContent-Disposition: " + stop + "\r\n\r\nx", bridge.CodeOverrideParameter},
		"the delimiter inside a line": {kind, "x--b0\r\nContent-Disposition: " + stop + "\r\n\r\nx", bridge.CodeOverrideParameter},
		"after the end":               {kind, file + end + named("_method", "DELETE"), bridge.CodeFormMalformed},
		"a folded header": {kind, part("Content-Disposition: form-data;\r\n name=\"_method\"", "x"),
			bridge.CodeFormMalformed},
		"bare line feeds": {kind, "--b0\nContent-Disposition: " + stop + "\n\nDELETE\n" + named("a", "1"),
			bridge.CodeFormMalformed},
		"a bare carriage return": {kind, part("X: y\rContent-Disposition: "+stop, "x"), bridge.CodeFormMalformed},
		"a delimiter in a header": {kind, "--b0\r\nX: y\r\n--b0\r\nContent-Disposition: " + stop + "\r\n\r\nx",
			bridge.CodeFormMalformed},
		"a header without an end":        {kind, "--b0\r\n" + strings.Repeat("X: y\r\n", 4000), bridge.CodeFormMalformed},
		"no boundary":                    {"multipart/form-data", named("_method", "DELETE"), bridge.CodeFormMalformed},
		"a boundary that is too long":    {"multipart/form-data; boundary=" + strings.Repeat("b", 71), file, bridge.CodeFormMalformed},
		"two boundaries":                 {kind + "; Boundary*=utf-8''b2", file, bridge.CodeFormMalformed},
		"what cannot be read as a media": {"multipart/form-data; boundary=b0; =", file, bridge.CodeFormMalformed},
	} {
		for way, body := range map[string]io.Reader{"whole": strings.NewReader(test.body), "a byte at a time": iotest.OneByteReader(strings.NewReader(test.body)),
			"with its end": iotest.DataErrReader(strings.NewReader(test.body))} {
			got, err := passLong(t, c, test.contentType, body)
			switch {
			case cause(err) != test.want:
				t.Errorf("%s, %s: %q, want %q", name, way, cause(err), test.want)
			case test.want == "" && got != test.body:
				t.Errorf("%s, %s: %d bytes reach the app of %d", name, way, len(got), len(test.body))
			case test.want != "" && (!strings.HasPrefix(test.body, got) || strings.Contains(got, stop)):
				t.Errorf("%s, %s: the override reaches the app: %q", name, way, got[max(0, len(got)-80):])
			}
		}
	}
	broken := errors.New("the client is gone")
	if _, err := passLong(t, c, kind, io.MultiReader(strings.NewReader(file), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("an error of the body: %v", err)
	}
	r := post("/open", "")
	if r.Header, r.Length = (http.Header{"Content-Type": {kind}}), -1; cause(c.Decide(holding("acme", "app"), r)) != "body_unseen" {
		t.Error("a form that cannot be looked at passes")
	}
}

// FuzzLongForm compares what passes with a reader of forms: it must find no override, and the bytes must be unchanged.
func FuzzLongForm(f *testing.F) {
	c, err := catalogue.Parse([]byte(adminRules))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("--b0\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b0\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nx\r\n--b0--\r\n"))
	f.Add([]byte("--b0\nContent-Disposition: form-data; name=_method\n\nx\n--b0--"))
	f.Add([]byte("x--b0--\r\n--b0 \r\n\r\n--b0\r\n name=_method\r\n\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := passLong(t, c, "multipart/form-data; boundary=b0", iotest.HalfReader(bytes.NewReader(body)))
		if !bytes.HasPrefix(body, []byte(got)) {
			t.Fatalf("%q is not the beginning of %q", got, body)
		}
		if _, refused := errors.AsType[*bridge.Error](err); !refused && len(got) != len(body) {
			t.Fatalf("%d of %d bytes: %v", len(got), len(body), err)
		}
		parts := multipart.NewReader(strings.NewReader(got), "b0")
		for {
			part, err := parts.NextRawPart()
			if err != nil {
				return
			}
			if strings.EqualFold(part.FormName(), "_method") {
				t.Fatalf("the override reaches the app: %q", got)
			}
		}
	})
}

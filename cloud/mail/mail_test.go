package mail_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/mail"
)

// certificate is of a mail server on 127.0.0.1; the machine's roots are it alone.
var certificate tls.Certificate

func TestMain(m *testing.M) {
	s := httptest.NewTLSServer(nil)
	certificate = s.TLS.Certificates[0]
	s.Close()
	f, err := os.CreateTemp("", "roots")
	if err == nil {
		err = errors.Join(pem.Encode(f, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), f.Close(),
			os.Setenv("SSL_CERT_FILE", f.Name()))
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.Remove(f.Name())
	os.Exit(code)
}

// fakeSMTP is a mail server of one connection (RFC 5321) that tells what it was sent.
type fakeSMTP struct {
	ln      net.Listener
	offers  []string // extensions
	rcpt    string   // the answer to RCPT; empty: it is taken
	echo    string   // the verb to which it answers 535 and what it was sent
	tls     bool     // from the first byte
	session chan []string
}

func newFakeSMTP(t *testing.T, offers ...string) *fakeSMTP {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeSMTP{ln: ln, offers: offers, session: make(chan []string, 1)}
	t.Cleanup(func() { _ = ln.Close() })
	return f
}

func (f *fakeSMTP) serve() {
	conn, err := f.ln.Accept()
	if err != nil {
		return
	}
	var got []string
	defer func() { _ = conn.Close(); f.session <- got }()
	if f.tls {
		conn = f.upgrade(conn)
	}
	in := bufio.NewReader(conn)
	say := func(s string) { _, _ = io.WriteString(conn, s+"\r\n") }
	say("220 fake ESMTP")
	for data := false; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		got = append(got, line)
		verb := strings.ToUpper(line)
		switch {
		case f.echo != "" && !data && strings.HasPrefix(verb, f.echo):
			say("535 5.7.8 " + line)
		case data && line == ".":
			data = false
			say("250 taken")
		case data:
		case strings.HasPrefix(verb, "EHLO"):
			say("250-fake")
			for _, extension := range f.offers {
				say("250-" + extension)
			}
			say("250 8BITMIME")
		case verb == "STARTTLS":
			say("220 go on")
			conn = f.upgrade(conn)
			in = bufio.NewReader(conn)
			got = append(got, "(TLS)")
		case strings.HasPrefix(verb, "AUTH"):
			say("235 welcome")
		case strings.HasPrefix(verb, "RCPT") && f.rcpt != "":
			say(f.rcpt)
		case verb == "DATA":
			data = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func (f *fakeSMTP) upgrade(conn net.Conn) net.Conn {
	return tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
}

// send sends a mail to the server under another name of this machine.
func (f *fakeSMTP) send(t *testing.T, origin string) ([]string, error) {
	t.Helper()
	_, port, err := net.SplitHostPort(f.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go f.serve()
	s, err := mail.ParseURL(bridge.NewSecret(origin + ":" + port + "?from=ace@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(t.Context(), mail.Message{To: "ann@a.test", Subject: "Grüße\r\nBcc: evil@b.test", Text: bridge.NewSecret("hello\n.\nbye\n")})
	return <-f.session, err
}

func TestSend(t *testing.T) {
	f := newFakeSMTP(t, "AUTH PLAIN")
	got, err := f.send(t, "smtp://user:p%40ss@127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(got, "\n")
	login := base64.StdEncoding.EncodeToString([]byte("\x00user\x00p@ss"))
	for _, want := range []string{"AUTH PLAIN " + login, "MAIL FROM:<ace@example.com>", "RCPT TO:<ann@a.test>", "\nhello\n", "\n..\n",
		"Auto-Submitted: auto-generated", "To: <ann@a.test>"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in what was sent:\n%s", want, text)
		}
	}
	if id := regexp.MustCompile(`(?m)^Message-ID: <[A-Z2-7]{26}@(.*)>$`).FindStringSubmatch(text); id == nil || id[1] != "example.com" {
		t.Errorf("the Message-ID is not of the sender's domain: %q", id)
	}
	for _, line := range got {
		if strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "RCPT TO:<evil") {
			t.Errorf("the subject has made a header: %s", line)
		}
	}
}

// TestAnswersAreNotRepeated: a server may send back the password, in whatever form, or the link of a mail.
func TestAnswersAreNotRepeated(t *testing.T) {
	for _, verb := range []string{"AUTH", "MAIL", "RCPT", "DATA", "EHLO"} {
		for _, offers := range [][]string{{"AUTH PLAIN"}, {"AUTH LOGIN PLAIN", "ENHANCEDSTATUSCODES"}} {
			f := newFakeSMTP(t, offers...)
			f.echo = verb
			_, err := f.send(t, "smtp://user:canary@127.0.0.1")
			login := base64.StdEncoding.EncodeToString([]byte("\x00user\x00canary"))
			if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), login) || strings.Contains(err.Error(), "ann@") || (verb != "EHLO" && !strings.Contains(err.Error(), "535")) {
				t.Errorf("%s: %v", verb, err)
			}
		}
	}
}

// TestAddressesOnTheWire: domains go out in A-labels, and what is left beyond ASCII to servers that take it.
func TestAddressesOnTheWire(t *testing.T) {
	for _, c := range []struct {
		to, wire string
		offers   []string
		refused  bool
	}{
		{"ann@b\u00fccher.test", "RCPT TO:<ann@xn--bcher-kva.test>", nil, false},
		{"zo\u00eb@a.test", "RCPT TO:<zo\u00eb@a.test>", []string{"SMTPUTF8"}, false},
		{"zo\u00eb@a.test", "", nil, true},
	} {
		f := newFakeSMTP(t, c.offers...)
		_, port, err := net.SplitHostPort(f.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		go f.serve()
		s, err := mail.ParseURL(bridge.NewSecret("smtp://127.0.0.1:" + port + "?from=Ace <ace@B\u00dcCHER.example>"))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Send(t.Context(), mail.Message{To: c.to, Subject: "hi", Text: bridge.NewSecret("hello")})
		text := strings.Join(<-f.session, "\n")
		if (err != nil) != c.refused || errors.Is(err, mail.ErrRefused) != c.refused || !strings.Contains(text, c.wire) || strings.Contains(text, "RCPT TO") == c.refused {
			t.Errorf("%+q: %v\n%s", c.to, err, text)
		}
		if !c.refused && (!strings.Contains(text, "MAIL FROM:<ace@xn--bcher-kva.example>") || strings.Contains(text, "SMTPUTF8") != (c.offers != nil)) {
			t.Errorf("%+q: %s", c.to, text)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		rcpt    string
		refused bool
	}{"for ever": {"550 no such user", true}, "for now": {"451 try later", false}} {
		f := newFakeSMTP(t)
		f.rcpt = c.rcpt
		if _, err := f.send(t, "smtp://127.0.0.1"); err == nil || errors.Is(err, mail.ErrRefused) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A password goes over TLS that is proven to be the server's, or nowhere, but on this machine. Linux takes 0.0.0.0 to this
// machine, which neither the rule counts as loopback nor the certificate as its name.
func TestPasswordNeedsTLS(t *testing.T) {
	for _, c := range []struct {
		name, origin string
		offers       []string
		tls, sent    bool
	}{
		{"STARTTLS", "smtp://user:canary@127.0.0.1", []string{"STARTTLS", "AUTH PLAIN LOGIN"}, false, true},
		{"TLS from the first byte", "smtps://user:canary@127.0.0.1", []string{"AUTH PLAIN LOGIN"}, true, true},
		{"no TLS", "smtp://user:canary@0.0.0.0", []string{"AUTH PLAIN LOGIN"}, false, false},
		{"STARTTLS of somebody else", "smtp://user:canary@0.0.0.0", []string{"STARTTLS", "AUTH PLAIN LOGIN"}, false, false},
		{"TLS of somebody else", "smtps://user:canary@0.0.0.0", []string{"AUTH PLAIN LOGIN"}, true, false},
	} {
		f := newFakeSMTP(t, c.offers...)
		f.tls = c.tls
		got, err := f.send(t, c.origin)
		if (err == nil) != c.sent || (err != nil && strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: %v", c.name, err)
		}
		text := strings.Join(got, "\n")
		if strings.Contains(text, "AUTH PLAIN") != c.sent || (slices.Contains(c.offers, "STARTTLS") && c.sent && !strings.Contains(text, "(TLS)\nEHLO")) {
			t.Errorf("%s: %s", c.name, text)
		}
	}
}

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		url string
		ok  bool
	}{
		{"smtp://user:pw@mail.example.com:587?from=ace@example.com", true},
		{"smtp://ace%40example.com:pw@mail.example.com", true}, // the user is the sender
		{"smtps://mail.example.com?from=ace@example.com", true},
		{"smtp://[::1]:25?from=Ace <ace@example.com>", true},
		{"smtp://mail.example.com", false},
		{"smtp://user@mail.example.com?from=ace@example.com", false},
		{"smtp://user:@mail.example.com?from=ace@example.com", false},
		{"http://mail.example.com?from=ace@example.com", false},
		{"smtp://?from=ace@example.com", false},
		{"smtp://mail.example.com:0?from=ace@example.com", false},
		{"smtp://mail.example.com/inbox?from=ace@example.com", false},
		{"smtp://mail.example.com?from=ace@example.com&from=b@example.com", false},
		{"smtp://mail.example.com?from=ace@example.com&starttls=no", false},
		{"smtp://mail.example.com?from=nobody", false},
		{"smtp://mail.example.com?from=a@b\u200d.example", false},
		{"smtp://mail..example.com?from=ace@example.com", false},
		{"smtp://mail.b\u00fccher.example?from=ace@b\u00fccher.example", true},
		{"mail.example.com", false},
		{"", false},
	} {
		if _, err := mail.ParseURL(bridge.NewSecret(c.url)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("smtp://user:canary@mail.example.com:587?from=ace@example.com")
	f.Add("smtps://:@[::1]?from=%00")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := mail.ParseURL(bridge.NewSecret(s)); err != nil && bridge.CodeOf(err) != "smtp_url" {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func TestKept(t *testing.T) {
	var k mail.Kept
	for i := range 60 {
		if err := k.Send(t.Context(), mail.Message{Subject: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := k.Messages(); len(got) != 50 || got[0].Subject != "59" {
		t.Errorf("%d messages are kept, the newest is %q", len(got), got[0].Subject)
	}
}

package mail_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/mail"
)

// fakeSMTP is a mail server of one connection (RFC 5321) that tells what it was sent.
type fakeSMTP struct {
	ln      net.Listener
	offers  []string // extensions
	rcpt    string   // the answer to RCPT; empty: it is taken
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
	go f.serve()
	return f
}

func (f *fakeSMTP) serve() {
	conn, err := f.ln.Accept()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	var got []string
	defer func() { f.session <- got }()
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

func (f *fakeSMTP) send(t *testing.T, credentials string) ([]string, error) {
	t.Helper()
	s, err := mail.ParseURL(bridge.NewSecret(fmt.Sprintf("smtp://%s%s?from=ace@example.com", credentials, f.ln.Addr())))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(t.Context(), mail.Message{To: "ann@a.test", Subject: "Grüße\r\nBcc: evil@b.test", Text: bridge.NewSecret("hello\n.\nbye\n")})
	return <-f.session, err
}

func TestSend(t *testing.T) {
	f := newFakeSMTP(t, "AUTH PLAIN")
	got, err := f.send(t, "user:p%40ss@")
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
	for _, line := range got {
		if strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "RCPT TO:<evil") {
			t.Errorf("the subject has made a header: %s", line)
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
		if _, err := f.send(t, ""); err == nil || errors.Is(err, mail.ErrRefused) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A password goes over TLS or nowhere, but on this machine; a server without TLS gets no password.
func TestPasswordNeedsTLS(t *testing.T) {
	f := newFakeSMTP(t, "AUTH PLAIN LOGIN")
	_, port, err := net.SplitHostPort(f.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// Linux takes 0.0.0.0 to this machine, which the rule does not count as loopback.
	s, err := mail.ParseURL(bridge.NewSecret("smtp://user:canary@0.0.0.0:" + port + "?from=ace@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(t.Context(), mail.Message{To: "ann@a.test", Subject: "x", Text: bridge.NewSecret("x")})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("without TLS: %v", err)
	}
	if got := strings.Join(<-f.session, "\n"); strings.Contains(got, "AUTH") {
		t.Errorf("the password was sent in the clear:\n%s", got)
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

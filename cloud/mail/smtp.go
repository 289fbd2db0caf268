package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	smtp "github.com/wneessen/go-mail"

	"github.com/acebridge/ace/bridge"
)

// Timeout bounds the delivery of one message to the server.
const Timeout = 30 * time.Second

// SMTP sends through a mail server, with one connection for each message.
type SMTP struct {
	host     string
	port     int
	tls      bool // from the first byte; false: STARTTLS
	user     string
	password bridge.Secret
	from     string
	domain   string // of the sender
}

// badURL refuses the value of ACE_SMTP_URL.
func badURL(format string, args ...any) error {
	return bridge.E(bridge.Invalid, bridge.CodeSMTPURL, "ACE_SMTP_URL: "+format, args...).
		WithHint("it looks like smtp://user:password@host:587?from=ace@example.com")
}

// ParseURL reads ACE_SMTP_URL: smtp://user:password@host:587?from=ace@example.com, or smtps:// for TLS from the first byte.
// Its errors do not repeat the URL, which may hold a password.
func ParseURL(value bridge.Secret) (*SMTP, error) {
	u, err := url.Parse(value.Reveal())
	if err != nil {
		return nil, badURL("it is not a URL")
	}
	s := &SMTP{host: u.Hostname(), port: 587, tls: u.Scheme == "smtps"}
	switch {
	case u.Scheme != "smtp" && u.Scheme != "smtps":
		return nil, badURL("it begins with neither smtp:// nor smtps://")
	case s.host == "" || (u.Path != "" && u.Path != "/") || u.Fragment != "":
		return nil, badURL("it has no host, or something other than ?from= follows it")
	case s.tls:
		s.port = 465
	}
	if port := u.Port(); port != "" {
		if s.port, err = strconv.Atoi(port); err != nil || s.port < 1 || s.port > 65535 {
			return nil, badURL("the port is not a number from 1 to 65535")
		}
	}
	if u.User != nil {
		password, has := u.User.Password()
		if s.user = u.User.Username(); s.user == "" || !has || password == "" {
			return nil, badURL("a user and a password go together, and one is missing")
		}
		s.password = bridge.NewSecret(password)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query) > 1 || (len(query) == 1 && len(query["from"]) != 1) {
		return nil, badURL("the only parameter is from, once")
	}
	if s.from = query.Get("from"); s.from == "" {
		s.from = s.user
	}
	address, err := mail.ParseAddress(bridge.OneForm(s.from))
	if err != nil || !bridge.PlainText(s.from, 200) {
		return nil, badURL("the sender is not an e-mail address; name it with ?from=")
	}
	var ok bool
	if address.Address, s.domain, ok = onTheWire(address.Address); !ok {
		return nil, badURL("the sender has no valid domain; name a sender with ?from=")
	}
	s.from = address.String()
	if _, err := netip.ParseAddr(s.host); err != nil {
		if s.host, ok = bridge.CanonicalDomain(s.host); !ok {
			return nil, badURL("the host is not a host name")
		}
	}
	return s, nil
}

// onTheWire returns an address with its domain in A-labels (RFC 5890), as mail servers expect it, and that domain.
func onTheWire(address string) (wire, domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if domain = address[at+1:]; ascii(domain) {
		return address, domain, true
	}
	domain, ok = bridge.CanonicalDomain(domain)
	return address[:at+1] + domain, domain, ok
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

func (s *SMTP) loopback() bool {
	addr, err := netip.ParseAddr(s.host)
	return s.host == "localhost" || (err == nil && addr.Unmap().IsLoopback())
}

// client requires TLS if a password is sent, except to this machine itself.
func (s *SMTP) client(dial smtp.DialContextFunc) (*smtp.Client, error) {
	policy := smtp.TLSOpportunistic
	if s.user != "" && !s.tls && !s.loopback() {
		policy = smtp.TLSMandatory
	}
	options := []smtp.Option{smtp.WithPort(s.port), smtp.WithTimeout(Timeout), smtp.WithTLSPolicy(policy), smtp.WithDialContextFunc(dial)}
	if s.user != "" {
		auth := smtp.SMTPAuthAutoDiscover
		if s.loopback() {
			auth = smtp.SMTPAuthPlain // go-mail does not discover it without TLS
		}
		options = append(options, smtp.WithSMTPAuth(auth), smtp.WithUsername(s.user), smtp.WithPassword(s.password.Reveal()))
	}
	return smtp.NewClient(s.host, options...)
}

func (s *SMTP) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.tls {
		return (&tls.Dialer{Config: &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}}).DialContext(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// Send implements [Sender]. A permanent refusal of the recipient or of the message (5yz, RFC 5321 section 4.2.1) is
// [ErrRefused]; a failed login is not, since the operator may repair it.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg := smtp.NewMsg()
	to, _, ok := onTheWire(m.To)
	if !ok || msg.From(s.from) != nil || msg.To(to) != nil {
		return fmt.Errorf("%w: the address is not valid", ErrRefused)
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(rand.Text() + "@" + s.domain) // go-mail's own would reveal this machine's name
	msg.SetGenHeader("Auto-Submitted", "auto-generated")    // RFC 3834: no auto-reply answers it
	msg.SetBodyString(smtp.TypeTextPlain, m.Text.Reveal())
	var conn net.Conn // go-mail leaves it open if the login fails
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	client, err := s.client(func(ctx context.Context, network, address string) (_ net.Conn, err error) {
		conn, err = s.dial(ctx, network, address)
		return conn, err
	})
	if err != nil {
		return fmt.Errorf("send a mail: %w", withoutAnswer(err))
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	err = handOver(ctx, client, msg, ascii(s.from) && ascii(to))
	if refused, ok := errors.AsType[*smtp.SendError](err); ok && !refused.IsTemp() && refused.ErrorCode() >= 500 &&
		(refused.Reason == smtp.ErrSMTPRcptTo || refused.Reason == smtp.ErrSMTPDataClose) {
		return fmt.Errorf("%w: %w", ErrRefused, withoutAnswer(err))
	}
	if err != nil && !errors.Is(err, ErrRefused) {
		err = withoutAnswer(err)
	}
	if err != nil {
		return fmt.Errorf("send a mail: %w", err)
	}
	return nil
}

// handOver dials and sends. An address that is not ASCII goes only to servers that accept it (RFC 6531 section 3.1).
func handOver(ctx context.Context, client *smtp.Client, msg *smtp.Msg, plain bool) error {
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return err
	}
	if takes, _ := session.Extension("SMTPUTF8"); !takes && !plain {
		_ = client.CloseWithSMTPClient(session)
		return fmt.Errorf("%w: it does not accept addresses beyond ASCII (SMTPUTF8)", ErrRefused)
	}
	return errors.Join(client.SendWithSMTPClient(session, msg), client.CloseWithSMTPClient(session))
}

// withoutAnswer removes the mail server's text from an error, since it may repeat the password or a mailed link. The codes
// are kept.
func withoutAnswer(err error) error {
	if refused, ok := errors.AsType[*smtp.SendError](err); ok {
		return fmt.Errorf("%s: the mail server answered %d %s", refused.Reason, refused.ErrorCode(), refused.EnhancedStatusCode())
	}
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Errorf("the mail server answered %d", answer.Code)
	}
	if strings.Contains(err.Error(), "STARTTLS") {
		return errors.New("the mail server offers no STARTTLS, without which no password is sent")
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the mail server did not answer in time")
	}
	return errors.New("the mail server cannot be reached, or its certificate is not trusted")
}

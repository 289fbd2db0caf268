package cloud

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/mail"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/web"
)

const (
	mailEvery = 15 * time.Second // what waits for another try; new mail does not wait
	mailBatch = 16
)

// deliverMail hands over what is due; what fails is tried again later.
func (c *Cloud) deliverMail(ctx context.Context) error {
	for {
		due, err := c.registry.Outbox.DueMail(ctx, mailBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		if err := c.sendMail(ctx, due); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (c *Cloud) sendMail(ctx context.Context, due []outbox.Mail) error {
	for _, m := range due {
		err := c.mailer.Send(ctx, mail.Message{To: m.To, Subject: m.Subject, Text: m.Text})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			c.log.Warn("a mail could not be sent", "mail", m.ID, "error", err)
		}
		if err == nil || errors.Is(err, mail.ErrRefused) {
			if err := c.registry.Outbox.MailDone(ctx, m.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// devMail is a mail as the page shows it: its lines, where a link is one that can be followed.
type devMail struct {
	To, Subject string
	Lines       []devLine
}

type devLine struct{ Text, Link string }

// devMailPage shows the mails of a cloud on loopback that has nowhere to send them.
func (c *Cloud) devMailPage(ctx echo.Context) error {
	var view []devMail
	for _, m := range c.kept.Messages() {
		shown := devMail{To: m.To, Subject: m.Subject}
		for line := range strings.Lines(m.Text.Reveal()) {
			l := devLine{Text: strings.TrimSpace(line)}
			if strings.HasPrefix(l.Text, string(c.cfg.PublicURL)+"/") {
				l.Link = l.Text
			}
			shown.Lines = append(shown.Lines, l)
		}
		view = append(view, shown)
	}
	return c.page.Render(ctx, http.StatusOK, "mail", web.Page{Title: "Mail", View: view})
}

// chooseMailer decides where mail goes: to the configured server, on loopback to a page, and otherwise nowhere.
func chooseMailer(configured mail.Sender, public bridge.ServerURL) (mailer mail.Sender, kept *mail.Kept) {
	if configured == nil && public.Loopback() {
		kept = &mail.Kept{}
		return kept, kept
	}
	return configured, nil
}

// Package mail hands messages over to an SMTP server or, in development, to a page.
//
// It does not know what they say or whom they are for. Mail that waits to be sent is in cloud/outbox, which tries again after an
// error, unless it is [ErrRefused]. Passwords are sent only over TLS, or to this machine itself.
package mail

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/acebridge/ace/bridge"
)

// Message is a plain text for one recipient. The text may hold a link that is a secret.
type Message struct {
	To      string
	Subject string
	Text    bridge.Secret
}

// Sender hands a message over. An error that wraps [ErrRefused] means that another try is useless.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// ErrRefused means that the mail server will never accept a message.
var ErrRefused = errors.New("the mail server has refused the message")

// Kept keeps the last messages in memory, for a page to show. It is safe for concurrent use.
type Kept struct {
	mu       sync.Mutex
	messages []Message
}

const maxKept = 50 // messages

// Send implements [Sender].
func (k *Kept) Send(_ context.Context, m Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.messages) == maxKept {
		k.messages = slices.Delete(k.messages, 0, 1)
	}
	k.messages = append(k.messages, m)
	return nil
}

// Messages returns the kept messages, newest first.
func (k *Kept) Messages() []Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := slices.Clone(k.messages)
	slices.Reverse(out)
	return out
}

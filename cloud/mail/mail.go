// Package mail hands messages over: to an SMTP server, or, for development, to a page. It knows nothing of what they say
// and who they are for; what waits to be sent is in the registry.
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

// Sender hands a message over. [ErrRefused] in the error's chain says that trying again is of no use.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// ErrRefused says that the mail server will never take a message.
var ErrRefused = errors.New("the mail server has refused the message")

// Kept keeps the last messages in memory, for a page to show. It is safe for concurrent use.
type Kept struct {
	mu       sync.Mutex
	messages []Message
}

const maxKept = 50

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

// Messages are the kept messages, newest first.
func (k *Kept) Messages() []Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := slices.Clone(k.messages)
	slices.Reverse(out)
	return out
}

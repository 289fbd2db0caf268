// Package live tells open streams what changes: the status of connections, and what appears and goes.
//
//	stream: opened ──► told of changes since its last ──► ended by the client, by the end of its session or key, or at the end
//
// The changes are numbered rows of the database, so that every replica tells them, and a client that comes back names the last
// number it knows (server-sent events, `Last-Event-ID`). One question is asked for all streams, and one for each organization
// in which something has changed. A client that is slow gets later what it could not take in.
package live

import (
	"context"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/who"
)

// Config is all that the room may touch. Every field is required.
type Config struct {
	Keys        *keys.Authority // of the cloud's own API
	Who         *who.Finder
	Connections *connections.Store
	Now         func() time.Time
}

// Live tells open streams of changes. Its methods are safe for concurrent use.
type Live struct {
	cfg         Config
	log         *slog.Logger
	keys        *keys.Authority
	who         *who.Finder
	connections *connections.Store
	watchers    watchers
}

// New returns the room. [Live.Run] tells the streams.
func New(cfg Config, log *slog.Logger) *Live {
	return &Live{cfg: cfg, log: log, keys: cfg.Keys, who: cfg.Who, connections: cfg.Connections,
		watchers: watchers{all: map[*watcher]struct{}{}, of: map[string]int{}, most: maxStreams}}
}

// Run tells the open streams of changes until ctx ends; then it ends them.
func (lv *Live) Run(ctx context.Context) error {
	lv.watch(ctx)
	return nil
}

// Close ends all streams, and lets none begin.
func (lv *Live) Close() { lv.watchers.close() }

// Package live streams what changes to browsers: the status of connections, and which ones appear and go.
//
//	opened ──► sent what has changed since its last event ──► ended: by the client, with its session or key, or by the cloud
//
// Changes are numbered rows in the database. So every replica streams all of them, and a client that reconnects names the last
// number that it has (`Last-Event-ID` of server-sent events). However many streams are open, each round takes one query for all
// of them, and one for each organization in which something has changed. A slow client is not waited for: it gets later what it
// could not take.
//
// A stream shows only connections that its session or key may see. Sign-outs and lost access end it within a second; without the
// database, streams go on for ten seconds. Their number is limited per member, per organization and in total.
package live

import (
	"context"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/who"
)

// Config is what the room needs. Every field is required.
type Config struct {
	Keys *keys.Authority // for the cloud's own API
	Who  *who.Finder
	Feed *connections.Feed
	Now  func() time.Time
}

// Live streams changes to clients. It is safe for concurrent use.
type Live struct {
	cfg      Config
	log      *slog.Logger
	keys     *keys.Authority
	who      *who.Finder
	feed     *connections.Feed
	watchers watchers
}

// New returns the room. [Live.Run] must run, or streams stay silent.
func New(cfg Config, log *slog.Logger) *Live {
	return &Live{cfg: cfg, log: log, keys: cfg.Keys, who: cfg.Who, feed: cfg.Feed,
		watchers: watchers{all: map[*watcher]struct{}{}, of: map[string]int{}, most: maxStreams}}
}

// Run streams changes until ctx ends, and then ends all streams. It returns nil.
func (lv *Live) Run(ctx context.Context) error {
	lv.watch(ctx)
	return nil
}

// Close ends all streams and refuses new ones.
func (lv *Live) Close() { lv.watchers.close() }

package run

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// A join token whose file is gone stops nobody who has joined; all other mistakes do.
func TestJoinTokenFileIsGone(t *testing.T) {
	t.Setenv("ACE_JOIN_TOKEN_FILE", filepath.Join(t.TempDir(), "join-token"))
	var e serverEnv
	if err := readEnv(&e); err != nil || !e.JoinToken.IsZero() {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := e.requireJoinToken(true, slog.New(slog.NewTextHandler(&log, nil))); err != nil || !strings.Contains(log.String(), "has joined already") {
		t.Errorf("joined: %v, %s", err, &log)
	}
	if err := e.requireJoinToken(false, nil); err == nil || !strings.Contains(err.Error(), "ACE_JOIN_TOKEN_FILE: no such file") {
		t.Errorf("not joined: %v", err)
	}
	t.Setenv("ACE_JOIN_TOKEN_FILE", t.TempDir())
	if err := readEnv(new(serverEnv)); err == nil {
		t.Error("a directory is taken for a token")
	}
	t.Setenv("ACE_JOIN_TOKEN_FILE", filepath.Join(t.TempDir(), "join-token"))
	t.Setenv("ACE_JOIN_TOKEN", "x")
	if err := readEnv(new(serverEnv)); err == nil {
		t.Error("both are set")
	}
}

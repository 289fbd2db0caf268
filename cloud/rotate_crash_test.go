package cloud_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/bridge/keyhttp"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
)

// keyServer is a server with a key authority, and a connection has one of its keys. A test may act before and after each of
// its answers.
type keyServer struct {
	*fixture
	url        bridge.ServerURL
	db         *sqldb.DB
	keys       *keys.Authority
	key        bridge.Key
	connection api.Connection
	hook       atomic.Pointer[func(moment)]
	end        chan struct{} // of the answers to GET /stream
}

// moment is before or after the server does what it is asked.
type moment struct {
	what string // method, and the end of the path
	done bool
}

// at makes the server call a function at one moment from now on, and at no other.
func (s *keyServer) at(m moment, do func()) {
	hook := func(now moment) {
		if now == m {
			do()
		}
	}
	s.hook.Store(&hook)
}

func startKeyServer(t *testing.T, cloudDB, serverDB string) *keyServer {
	t.Helper()
	s := &keyServer{fixture: start(t, cloudDB), end: make(chan struct{})}
	s.at(moment{}, nil)
	e := echo.New()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := r.Method + " " + path.Base(r.URL.Path)
		if what == "GET stream" {
			_, _ = io.WriteString(w, "it begins\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-s.end:
				_, _ = io.WriteString(w, "it ends\n")
			case <-r.Context().Done():
			}
			return
		}
		(*s.hook.Load())(moment{what, false})
		recorded := httptest.NewRecorder()
		e.ServeHTTP(recorded, r)
		(*s.hook.Load())(moment{what, true})
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes())
	}))
	t.Cleanup(ts.Close)
	s.url = bridge.ServerURL(ts.URL)
	var err error
	if s.db, err = sqldb.Open(t.Context(), serverDB); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	if s.keys, err = keys.New(t.Context(), s.db, keys.Config{Servers: []bridge.ServerURL{s.url}, Catalogue: catalogue.Builtin(),
		Pepper: bridge.NewSecret("pepper"), Now: s.clock}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s.routes(e)
	var record record.Record
	if s.key, record, err = s.keys.Create(t.Context(), audit.Actor{ID: "test"}, keys.NewKey{Kind: bridge.KindSK, Name: "connection", Org: "acme",
		Owner: "ann@acme.test", Role: bridge.RoleMember, Scopes: bridge.Scopes{"app:*"}, ExpiresAt: s.clock().Add(bridge.DefaultKeyLife)}); err != nil {
		t.Fatal(err)
	}
	key := s.key.Text().Disclose()
	if s.connection, err = s.client().Register(t.Context(), api.RegisterRequest{ServerURL: ts.URL, APIKey: &key}); err != nil {
		t.Fatal(err)
	}
	if s.connection, err = s.client().Check(t.Context(), s.connection.ID); err != nil || s.connection.Status != "online" ||
		s.connection.ExpiresAt == nil || s.connection.ExpiresAt.Unix() != record.ExpiresAt.Unix() {
		t.Fatalf("the probe finds %+v (%v)", s.connection, err)
	}
	return s
}

func (s *keyServer) routes(e *echo.Echo) {
	e.HTTPErrorHandler = func(err error, c echo.Context) { api.WriteProblem(c.Response(), err) }
	who := func(c echo.Context) (bridge.Identity, error) {
		presented, err := guard.Presented(c.Request().Header)
		if err != nil {
			return bridge.Identity{}, err
		}
		return s.keys.Verify(c.Request().Context(), presented, bridge.Use{Address: "192.0.2.1"})
	}
	keyhttp.Handlers{Keys: s.keys, Authorize: func(c echo.Context, need keyhttp.Need) (keys.By, error) {
		id, err := who(c)
		if scope := need(id); err == nil && scope != "" && !id.Covers(scope) {
			err = catalogue.MissingScope(scope)
		}
		return keys.By{Actor: audit.Actor{ID: "key:" + id.KeyID.String(), Org: id.Org}, Who: id}, err
	}}.Routes(e, "/ace/v1/api-keys")
	e.DELETE("/ace/v1/api-keys/:id", func(c echo.Context) error {
		presented, err := bridge.Credential(c.Request().Header)
		if err != nil {
			return err
		}
		record, err := s.keys.RevokeSigned(c.Request().Context(), audit.Actor{}, presented.Value)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, s.keys.API(record))
	})
	e.GET("/ace/v1/me", func(c echo.Context) error {
		id, err := who(c)
		if err != nil {
			return err
		}
		behind, err := s.keys.Behind(c.Request().Context(), id)
		if err != nil {
			return err
		}
		me := api.Identity{Type: id.Type, KeyID: id.KeyID.String(), Subject: id.Subject, KeyExpiresAt: &behind.ExpiresAt}
		if !behind.IssuedAt.IsZero() {
			me.KeyIssuedAt = &behind.IssuedAt
		}
		return c.JSON(http.StatusOK, me)
	})
}

// later lets time pass, and signs the admin in again.
func (s *keyServer) later(d time.Duration) {
	s.t.Helper()
	s.advance(d)
	var err error
	if s.token, _, err = s.cloud.DeveloperToken(s.t.Context(), "ann@acme.test", "acme"); err != nil {
		s.t.Fatal(err)
	}
}

// works calls the server as a member does, and reports whether it was with the key's current secret.
func (s *keyServer) works(when string) (current bool) {
	s.t.Helper()
	cred, err := s.client().Credential(s.t.Context(), s.connection.ID)
	if err != nil {
		s.t.Fatalf("%s: %v", when, err)
	}
	me, err := apiclient.NewServer(s.url, bridge.Secret{}, api.ClientConfig{}).MeWith(s.t.Context(), cred)
	if err != nil {
		s.t.Fatalf("%s the server does not take a member's token: %v", when, err)
	}
	return me.KeyIssuedAt != nil
}

func (s *keyServer) rotate() {
	s.t.Helper()
	if err := cloud.RotateKeys(s.cloud, s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *keyServer) audited(action string) int {
	s.t.Helper()
	entries, _, err := audit.List(s.t.Context(), s.db, audit.Query{Org: "acme", Action: action})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

// A connection works for years without anyone renewing it.
func TestKeysAreRotatedForYears(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		s := startKeyServer(t, dsn, sqldbtest.SQLite(t))
		s.later(14 * day)
		for round := 1; round <= 9; round++ {
			s.later(62*day + time.Hour)
			before, err := s.client().Credential(t.Context(), s.connection.ID)
			if err != nil {
				t.Fatal(err)
			}
			s.rotate()
			if !s.works("after a rotation") || s.audited("key.rotate") != round {
				t.Fatalf("round %d: the old secret is in use, after %d rotations", round, s.audited("key.rotate"))
			}
			if _, err := apiclient.NewServer(s.url, bridge.Secret{}, api.ClientConfig{}).MeWith(t.Context(), before); err != nil {
				t.Errorf("what a member was given just before a rotation: %v", err)
			}
			s.later(14 * day) // the old secret has ended
			s.works("after the old secret's end")
		}
	})
}

// Members' open calls go on through a rotation, and new calls use the new secret.
func TestRotationCutsNothing(t *testing.T) {
	s := startKeyServer(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t))
	s.later(80 * day)
	relay := "/v1/connections/" + s.connection.ID + "/relay"
	stream := bufio.NewScanner(s.send(s.request("GET", relay+"/stream", nil)).Body)
	if !stream.Scan() || stream.Text() != "it begins" {
		t.Fatalf("%q (%v)", stream.Text(), stream.Err())
	}
	s.rotate()
	for range 3 {
		if err := cloud.RecheckRelays(s.cloud, t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var me api.Identity
	if _, body := s.do("GET", relay+"/ace/v1/me", "", "Authorization", s.bearer()); json.Unmarshal([]byte(body), &me) != nil || me.KeyIssuedAt == nil {
		t.Errorf("what begins after the rotation takes the old secret: %s", body)
	}
	close(s.end)
	if !stream.Scan() || stream.Text() != "it ends" {
		t.Errorf("the stream was cut: %q (%v)", stream.Text(), stream.Err())
	}
}

// A cloud that is killed at any point of a rotation leaves a working connection, and the next process finishes the same
// rotation.
func TestRotationSurvivesAKill(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		s := startKeyServer(t, dsn, sqldbtest.SQLite(t))
		for _, kill := range []struct {
			when string
			at   moment
		}{
			{"before the server has rotated", moment{"POST rotate", false}}, {"before the answer has come", moment{"POST rotate", true}},
			{"before the test", moment{"GET me", false}}, {"before the new secret is stored", moment{"GET me", true}},
		} {
			s.later(85 * day)
			rotated := s.audited("key.rotate")
			ctx, cancel := context.WithCancel(t.Context())
			s.at(kill.at, func() {
				cancel()
				panic(http.ErrAbortHandler)
			})
			if err := cloud.RotateKeys(s.cloud, ctx); err != nil || ctx.Err() == nil {
				t.Fatalf("%s: it was not killed (%v)", kill.when, err)
			}
			cancel()
			s.at(moment{}, nil)
			s.restart()
			s.works("killed " + kill.when)
			s.rotate() // the dead process still has it
			s.later(2 * time.Minute)
			s.rotate()
			if !s.works("after the rerun") || s.audited("key.rotate") != rotated+1 {
				t.Errorf("killed %s: the old secret is in use, after %d rotations", kill.when, s.audited("key.rotate")-rotated)
			}
		}
	})
}

// Disconnecting at any point of a rotation leaves no secret alive.
func TestDisconnectDuringARotation(t *testing.T) {
	asked, rotated, tested := moment{"POST rotate", false}, moment{"POST rotate", true}, moment{"GET me", true}
	for name, c := range map[string]struct {
		at   moment
		kill bool
	}{"killed before it": {asked, true}, "killed after it": {rotated, true}, "before it": {asked, false}, "after it": {rotated, false},
		"after the test": {tested, false}} {
		t.Run(name, func(t *testing.T) {
			s := startKeyServer(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t))
			s.later(80 * day)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			disconnect := func() {
				if _, err := s.client().Delete(t.Context(), s.connection.ID); err != nil {
					t.Error(err)
				}
			}
			s.at(c.at, func() {
				if c.kill {
					cancel()
					panic(http.ErrAbortHandler)
				}
				disconnect()
			})
			if err := cloud.RotateKeys(s.cloud, ctx); err != nil {
				t.Fatal(err)
			}
			s.at(moment{}, nil)
			if c.kill {
				disconnect()
			}
			kept, err := s.keys.Get(t.Context(), keys.View{Org: "acme"}, s.key.ID)
			if err != nil || kept.Status(s.clock()) != record.StatusRevoked {
				t.Errorf("the key is %s (%v)", kept.Status(s.clock()), err)
			}
			s.later(2 * time.Minute)
			s.rotate()
			if _, err := s.client().Connection(t.Context(), s.connection.ID); bridge.CodeOf(err) != "connection_unknown" {
				t.Errorf("the connection is there again: %v", err)
			}
		})
	}
}

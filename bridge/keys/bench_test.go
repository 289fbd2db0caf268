package keys

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/table"
	"github.com/acebridge/ace/bridge/sqldb"
)

// stored returns an authority over an empty database with n keys in memory, and some of these keys.
func stored(b *testing.B, n, some int) (*Authority, keyring) {
	b.Helper()
	db, err := sqldb.Open(b.Context(), "sqlite:"+b.TempDir()+"/bench.db")
	if err != nil {
		b.Fatal(err)
	}
	a, err := New(b.Context(), db, Config{Catalogue: catalogue.Builtin()}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ran := make(chan struct{})
	go func() { _ = a.Run(ctx); close(ran) }()
	b.Cleanup(func() { stop(); <-ran; _ = db.Close() })
	all := make([]bridge.Key, n)
	for i := range n {
		all[i] = fill(a, i)
	}
	// In random order but adjacent in memory, like requests from a server's network buffers.
	rand.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	var texts strings.Builder
	for _, key := range all[:some] {
		texts.WriteString(key.Text().Reveal())
	}
	keys := keyring(texts.String())
	a.line.Tick()               // as Run does
	for i := range keys.len() { // the first use takes the careful path
		if _, err := a.Verify(b.Context(), keys.at(i), bridge.Use{}); err != nil {
			b.Fatal(err)
		}
	}
	return a, keys
}

// keyring is many keys of kind live in one string.
type keyring string

const keyLength = len("ace_live_") + 71

func (k keyring) len() int { return len(k) / keyLength }

func (k keyring) at(i int) bridge.Presented {
	return bridge.Presented{Value: bridge.NewSecret(string(k[i*keyLength : (i+1)*keyLength]))}
}

// fill puts one key into the table. Its public key is fake, since deriving a real one would take most of the time.
func fill(a *Authority, i int) bridge.Key {
	r, key := sample(i)
	a.table.Put(&r)
	return key
}

func sample(i int) (record.Row, bridge.Key) {
	id, _ := uuid.NewV7()
	key := bridge.NewKey(bridge.KindLive, id)
	now := time.Now()
	return record.Row{Version: 1, Current: record.Proof{Hash: key.Hash()}, Record: record.Record{ID: id, Kind: bridge.KindLive, Prefix: key.Prefix(),
		Name: "bench", Org: "acme", Owner: fmt.Sprintf("user-%d@example.com", i), Scopes: bridge.Scopes{"app:*"},
		CreatedAt: now, IssuedAt: now, ExpiresAt: now.Add(bridge.DefaultKeyLife)}}, key
}

// BenchmarkVerify compares verifying a key with one SHA-256 of its secret, in one run; "sha256" is the yardstick.
func BenchmarkVerify(b *testing.B) {
	b.Run("sha256", func(b *testing.B) {
		var secret [43]byte
		b.ReportAllocs()
		for b.Loop() {
			secret[0]++
			sum := sha256.Sum256(secret[:])
			secret[1] = sum[0]
		}
	})
	use := bridge.Use{Address: "192.0.2.1", UserAgent: "bench"}
	for _, keys := range []int{1, 100_000} {
		name := "hot"
		if keys > 1 {
			name = "random-" + strconv.Itoa(keys)
		}
		b.Run(name, func(b *testing.B) {
			a, presented := stored(b, 100_000, keys)
			ctx, i, last := b.Context(), 0, presented.len()
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				if _, err := a.Verify(ctx, presented.at(i), use); err != nil {
					b.Fatal(err)
				}
				if i++; i == last {
					i = 0
				}
			}
		})
	}
	b.Run("junk", func(b *testing.B) {
		a, _ := stored(b, 100_000, 1)
		id, _ := uuid.NewV7()
		junk := bridge.Presented{Value: bridge.NewKey(bridge.KindLive, id).Text()}
		for b.Loop() {
			if _, err := a.Verify(b.Context(), junk, use); err == nil {
				b.Fatal("junk passed")
			}
		}
	})
}

// BenchmarkVerifyParallel shows that verifications do not wait for each other.
func BenchmarkVerifyParallel(b *testing.B) {
	a, presented := stored(b, 100_000, 1000)
	use := bridge.Use{Address: "192.0.2.1"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := rand.IntN(presented.len())
		for pb.Next() {
			if _, err := a.Verify(context.Background(), presented.at(i), use); err != nil {
				b.Error(err)
			}
			if i++; i == presented.len() {
				i = 0
			}
		}
	})
}

// BenchmarkMemory reports how many bytes of memory a key takes.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		const n = 200_000
		a := &Authority{table: table.New(table.Config{}, slog.New(slog.DiscardHandler))}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range n {
			fill(a, i)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/key")
		runtime.KeepAlive(a)
	}
}

// BenchmarkLoad reports how long a start takes with ACE_BENCH_KEYS keys in a SQLite file, 100,000 by default. A million take
// long to store before they can be loaded.
func BenchmarkLoad(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("ACE_BENCH_KEYS"))
	if err != nil {
		n = 100_000
	}
	dsn := "sqlite:" + b.TempDir() + "/load.db"
	db, err := sqldb.Open(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	a, err := New(b.Context(), db, Config{Catalogue: catalogue.Builtin()}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	storeMany(b, a, n)
	for b.Loop() {
		start := time.Now()
		a.table = table.New(table.Config{DB: db, Line: a.line}, slog.New(slog.DiscardHandler))
		if err := a.table.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds()*1e6/float64(n), "s/million")
	}
	if found := a.table.Len(); found != n {
		b.Fatalf("%d keys are loaded, want %d", found, n)
	}
}

func storeMany(b *testing.B, a *Authority, n int) {
	b.Helper()
	tx, err := a.db.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		r, _ := sample(i)
		if err := record.Insert(b.Context(), tx, r); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

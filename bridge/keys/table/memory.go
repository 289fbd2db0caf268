package table

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/statements"
)

// memory holds every key, so that verifying reads no database, and a key that was never issued costs no query. It has no
// pointers per key: the garbage collector would have to follow a million of them, and the slowest requests would wait for it.
//
// Keys are spread over shards by the last digits of their IDs, which are random. The speed of a lookup depends on how many cache
// lines it misses: one of the index and one of an entry.
type memory struct {
	seed   maphash.Seed
	shards [tableShards]shard
}

const (
	tableShards = 64
	chunkKeys   = 256
	noteEvery   = 3 // seconds; uses are noted no more often than that
)

type shard struct {
	mu      sync.RWMutex
	index   index
	hot     [][]entry
	cold    [][]rest // of the entry at the same place
	used    uint32
	special map[uint32]*special // by slot; few keys have one
	texts   arena
	scopes  scopeSets
}

// entry is the part of a key that most verifications need; it fits one cache line. Times are unix seconds, 0 for none.
type entry struct {
	hash    [16]byte // half of the SHA-256; 128 bits are enough, and a mismatch falls back to the careful path
	print   uint64   // fingerprint of the whole key as verified by the careful path; atomic; 0: not yet
	id      uuid.UUID
	expires uint32
	noted   uint32 // when a use was last noted; atomic
	owner   text
	org     text
	scopes  uint32
	// ownerLen is the owner's length, which differs from key to key. Reading it from the arena would touch memory that is
	// not in the cache.
	ownerLen uint16
	flags    uint8
	about    uint8 // kind and longest warning; see aboutKey
}

// aboutKey packs a kind and the number of the longest warning that applies.
func aboutKey(kind bridge.KeyKind, warn int) uint8 { return uint8(warn)<<4 | indexOf(kinds[:], kind) } //nolint:gosec // both are small

func (e *entry) kind() bridge.KeyKind { return kinds[e.about&0xf] }

// warnFrom returns when the holder is first warned of the expiry; 0: never.
func (e *entry) warnFrom() int64 {
	if warn := e.about >> 4; warn != 0 {
		return int64(e.expires) - record.WarnDays[warn-1]*record.SecondsPerDay
	}
	return 0
}

// rest is what only the careful path needs.
type rest struct {
	record.Proof
	version   int64
	confirmBy int64
	role      uint8
}

const (
	flagEnded = 1 << iota
	flagDisabled
	flagUnconfirmed
	flagSpecial // shard.special has more to check
)

// special is what only a few keys have.
type special struct {
	previous record.Proof
	grace    int64
	limits   record.Limits
	limiter  *rate.Limiter
	usedUp   bool
	taken    statements.Taken // from its access tokens; it does not concern the key itself
	lineage  record.Lineage
}

var (
	kinds = [...]bridge.KeyKind{bridge.KindLive, bridge.KindTest, bridge.KindSK, bridge.KindPAT}
	roles = [...]bridge.Role{"", bridge.RoleViewer, bridge.RoleMember, bridge.RoleAdmin, bridge.RoleOwner}
)

func newMemory() *memory {
	m := &memory{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].reset()
	}
	return m
}

// number derives a number from the last digits of a key ID, which are random. Few keys share one.
func number(tail bridge.KeyIDTail) uint32 {
	const odd = 0x9E3779B97F4A7C15                              // mixes all bits into the upper ones (Fibonacci hashing)
	return uint32(binary.BigEndian.Uint64(tail[:]) * odd >> 32) //nolint:gosec // 32 bits are left
}

func numberOf(id uuid.UUID) uint32 { return number(bridge.TailOfKeyID(id)) }

// len returns the number of keys.
func (m *memory) len() (n int) {
	for i := range m.shards {
		m.shards[i].mu.RLock()
		n += int(m.shards[i].used)
		m.shards[i].mu.RUnlock()
	}
	return n
}

// clear forgets all keys.
func (m *memory) clear() {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		s.reset()
		s.mu.Unlock()
	}
}

// reset empties a shard.
func (s *shard) reset() {
	s.hot, s.cold, s.used = nil, nil, 0
	s.index, s.special = index{cells: make([]uint32, minCells)}, map[uint32]*special{}
	s.texts, s.scopes = arena{}, scopeSets{}
	s.texts.init()
	s.scopes.init()
}

func (m *memory) shard(number uint32) *shard { return &m.shards[number%tableShards] }

func (s *shard) at(slot uint32) *entry { return &s.hot[slot/chunkKeys][slot%chunkKeys] }

func (s *shard) rest(slot uint32) *rest { return &s.cold[slot/chunkKeys][slot%chunkKeys] }

// slot finds the slot of a key by its ID.
func (s *shard) slot(number uint32, id uuid.UUID) (uint32, bool) {
	p := s.index.probe(number)
	for {
		slot, ok := p.next()
		if !ok || s.at(slot).id == id {
			return slot, ok
		}
	}
}

func (s *shard) add(number uint32) uint32 {
	slot := s.used
	if int(slot)/chunkKeys == len(s.hot) {
		s.hot = append(s.hot, make([]entry, chunkKeys))
		s.cold = append(s.cold, make([]rest, chunkKeys))
	}
	s.used++
	s.index.add(number, slot, func(slot uint32) uint32 { return numberOf(s.at(slot).id) })
	return slot
}

// put takes in a row unless the table has a newer one, and reports whether it did.
func (m *memory) put(r *record.Row) bool {
	n := numberOf(r.ID)
	s := m.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, known := s.slot(n, r.ID)
	if !known {
		slot = s.add(n)
	}
	e, more := s.at(slot), s.rest(slot)
	if known && more.version >= r.Version {
		return false
	}
	scopes := e.scopes
	if !known || s.scopes.get(&s.texts, scopes).String() != r.Scopes.String() {
		scopes = s.scopes.add(&s.texts, r.Scopes)
	}
	noted, print := atomic.LoadUint32(&e.noted), atomic.LoadUint64(&e.print)
	if more.Hash != r.Current.Hash {
		print = 0
	}
	*e = entry{
		hash: [16]byte(r.Current.Hash[:16]), print: print, id: r.ID, expires: seconds32(r.ExpiresAt), noted: noted,
		owner: s.texts.add(r.Owner), ownerLen: uint16(len(r.Owner)), org: s.texts.add(r.Org), scopes: scopes, //nolint:gosec // see arena.add
		about: aboutKey(r.Kind, record.Warnings(r.IssuedAt, r.ExpiresAt)),
	}
	*more = rest{Proof: r.Current, version: r.Version, confirmBy: record.Unix(r.ConfirmBy), role: indexOf(roles[:], r.Role)}
	if !r.EndedAt.IsZero() {
		e.flags |= flagEnded
	}
	if !r.DisabledAt.IsZero() {
		e.flags |= flagDisabled
	}
	if more.confirmBy != 0 {
		e.flags |= flagUnconfirmed
	}
	s.putSpecial(slot, e, r)
	return true
}

func (s *shard) putSpecial(slot uint32, e *entry, r *record.Row) {
	careful := !r.GraceUntil.IsZero() || r.Limits.Metered() || r.Lineage.Limited()
	if !careful && r.Taken.Empty() {
		delete(s.special, slot)
		return
	}
	x := &special{previous: r.Previous, grace: record.Unix(r.GraceUntil), limits: r.Limits,
		usedUp: r.Limits.MaxUses > 0 && r.Uses >= r.Limits.MaxUses, taken: r.Taken, lineage: r.Lineage}
	if c := r.Limits.Rate; c.Count > 0 {
		x.limiter = rate.NewLimiter(rate.Limit(float64(c.Count)/c.Per.Seconds()), int(c.Count))
		if old := s.special[slot]; old != nil && old.limits.Rate == c {
			x.limiter = old.limiter // changing a key does not give uses back
		}
	}
	s.special[slot] = x
	if careful {
		e.flags |= flagSpecial
	}
}

// seconds32 converts to unix seconds in 32 bits; later times become the last second of 2106.
func seconds32(t time.Time) uint32 { return uint32(min(record.Unix(t), math.MaxUint32)) } //nolint:gosec // bounded

func indexOf[T comparable](list []T, v T) uint8 {
	for i := range list {
		if list[i] == v {
			return uint8(i) //nolint:gosec // lists of five at most
		}
	}
	return 0
}

// useUp marks a key as used up, so that the database is not asked again.
func (m *memory) useUp(id uuid.UUID) {
	n := numberOf(id)
	s := m.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.slot(n, id); ok && s.special[slot] != nil {
		x := *s.special[slot]
		x.usedUp = true
		s.special[slot] = &x
	}
}

// find returns a key by its ID.
func (m *memory) find(id uuid.UUID) (Found, bool) {
	n := numberOf(id)
	s := m.shard(n)
	s.mu.RLock()
	defer s.mu.RUnlock()
	slot, ok := s.slot(n, id)
	if !ok {
		return Found{}, false
	}
	e := s.at(slot)
	// Field by field, since others change print and noted meanwhile.
	known := entry{hash: e.hash, id: e.id, expires: e.expires, owner: e.owner, ownerLen: e.ownerLen, org: e.org,
		scopes: e.scopes, flags: e.flags, about: e.about}
	return Found{entry: known, rest: *s.rest(slot), special: s.special[slot],
		owner: s.texts.get(e.owner), org: s.texts.get(e.org), scopes: s.scopes.get(&s.texts, e.scopes)}, true
}

// fingerprint recognises the text of a key within this process.
func (m *memory) fingerprint(key bridge.Secret) uint64 { return maphash.String(m.seed, key.Reveal()) }

// learn stores the fingerprint of a key that the careful path has verified. It also clears the special flag of a rotation whose
// grace is over; the reason to refuse the old secret stays known.
func (m *memory) learn(key bridge.Key, now int64) {
	n := numberOf(key.ID)
	s := m.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.slot(n, key.ID)
	if !ok || s.rest(slot).Hash != key.Hash() {
		return
	}
	e := s.at(slot)
	atomic.StoreUint64(&e.print, m.fingerprint(key.Text()))
	if x := s.special[slot]; x != nil && now >= x.grace && !x.limits.Metered() && !x.lineage.Limited() {
		e.flags &^= flagSpecial
	}
}

// hot verifies a key that is alive, has no special conditions and has been verified before. It fills in the identity, and reports
// whether the use is to be noted. It does not allocate. Whatever it does not accept goes to the careful path, which knows why.
func (m *memory) hot(p *bridge.Presented, now int64, id *bridge.Identity) (note, ok bool) {
	tail, hash, ok := bridge.LookUpKey(p.Value)
	if !ok {
		return false, false
	}
	n := number(tail)
	s := m.shard(n)
	s.mu.RLock()
	defer s.mu.RUnlock()
	var e *entry
	for candidates := s.index.probe(n); ; {
		slot, ok := candidates.next()
		if !ok {
			return false, false
		}
		if e = s.at(slot); e.hash == [16]byte(hash[:16]) {
			break
		}
	}
	// The hash proves the secret; the fingerprint proves that the rest of the text is what was checked before. The time that
	// comparing hashes takes reveals nothing about the secret.
	if e.flags != 0 || (e.expires != 0 && now >= int64(e.expires)) ||
		atomic.LoadUint64(&e.print) != m.fingerprint(p.Value) || (p.KeyID.Valid && p.KeyID.UUID != e.id) {
		return false, false
	}
	e.identify(id)
	id.Subject, id.Org, id.Scopes = s.texts.slice(e.owner, e.ownerLen), s.texts.get(e.org), s.scopes.get(&s.texts, e.scopes)
	if noted := atomic.LoadUint32(&e.noted); uint32(now)-noted >= noteEvery { //nolint:gosec // see seconds32
		note = atomic.CompareAndSwapUint32(&e.noted, noted, uint32(now)) //nolint:gosec // see seconds32
	}
	return note, true
}

// identify fills in what the entry alone knows.
func (e *entry) identify(id *bridge.Identity) {
	id.Type, id.KeyID, id.Kind = bridge.TypeAPIKey, e.id, e.kind()
	id.Environment, id.Generation = id.Kind.Environment(), binary.BigEndian.Uint64(e.hash[:])
	if e.expires != 0 {
		id.ExpiresAt, id.WarnFrom = record.At(int64(e.expires)), record.At(e.warnFrom())
	}
}

package keys

import (
	"crypto/ed25519"
	"encoding/binary"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/acebridge/ace/bridge"
)

// table holds every key in memory, so that verifying reads no database, and so that a key that was never issued costs
// nobody a query. What it holds has no pointers per key: the garbage collector would follow a million of them, and the
// slowest requests would wait for it.
//
// The keys lie in shards by the last digits of their IDs, which are random. How fast a key is found depends on how much
// memory is touched that no cache has: one line of the index, and one of an entry.
type table struct {
	seed   maphash.Seed
	shards [tableShards]shard
}

const (
	tableShards = 64
	chunkKeys   = 256
)

type shard struct {
	mu      sync.RWMutex
	index   index
	hot     [][]entry
	cold    [][]rest // of the entry in the same place
	used    uint32
	special map[uint32]*special // of the few keys that have any
	texts   arena
	scopes  scopeSets
}

// entry is what most verifications look at of one key: one cache line. Times are unix seconds, 0 for none.
type entry struct {
	hash    [16]byte // half of the SHA-256: still 128 bits, and what is not the same key falls to the careful way
	print   uint64   // fingerprint of the whole key as the careful way has verified it; atomic; 0: not yet
	id      uuid.UUID
	expires uint32
	noted   uint32 // when a use was last noted; atomic
	owner   text
	org     text
	scopes  uint32
	// ownerLen is the length of the owner, which differs from key to key: to read it in the arena would touch memory
	// that is in no cache.
	ownerLen uint16
	flags    uint8
	about    uint8 // the kind, and which of warnDays applies: see aboutKey
}

// aboutKey packs a kind and the number of the longest warning that applies.
func aboutKey(kind bridge.KeyKind, warn int) uint8 { return uint8(warn)<<4 | indexOf(kinds[:], kind) } //nolint:gosec // both are small

func (e *entry) kind() bridge.KeyKind { return kinds[e.about&0xf] }

// warnFrom is when the holder is first told that the key will expire; 0: never.
func (e *entry) warnFrom() int64 {
	if warn := e.about >> 4; warn != 0 {
		return int64(e.expires) - warnDays[warn-1]*secondsPerDay
	}
	return 0
}

// rest is what the careful way looks at besides.
type rest struct {
	secret
	version   int64
	confirmBy int64
	role      uint8
}

const (
	flagEnded = 1 << iota
	flagDisabled
	flagUnconfirmed
	flagSpecial // shard.special has more to look at
)

// special is what only few keys have.
type special struct {
	previous secret
	grace    int64
	limits   Limits
	limiter  *rate.Limiter
	usedUp   bool
	taken    taken // from its access tokens; the key itself is not concerned
	lineage  Lineage
}

var (
	kinds = [...]bridge.KeyKind{bridge.KindLive, bridge.KindTest, bridge.KindSK, bridge.KindPAT}
	roles = [...]bridge.Role{"", bridge.RoleViewer, bridge.RoleMember, bridge.RoleAdmin, bridge.RoleOwner}
)

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].reset()
	}
	return t
}

// number makes a number of the last digits of a key ID, which are random. Few keys have the same.
func number(tail bridge.KeyIDTail) uint32 {
	const odd = 0x9E3779B97F4A7C15                              // mixes all bits into the upper ones (Fibonacci hashing)
	return uint32(binary.BigEndian.Uint64(tail[:]) * odd >> 32) //nolint:gosec // 32 bits are left
}

func numberOf(id uuid.UUID) uint32 { return number(bridge.TailOfKeyID(id)) }

// clear forgets all keys.
func (t *table) clear() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.reset()
		s.mu.Unlock()
	}
}

// reset makes the shard's parts anew.
func (s *shard) reset() {
	s.hot, s.cold, s.used = nil, nil, 0
	s.index, s.special = index{cells: make([]uint32, minCells)}, map[uint32]*special{}
	s.texts, s.scopes = arena{}, scopeSets{}
	s.texts.init()
	s.scopes.init()
}

func (t *table) shard(number uint32) *shard { return &t.shards[number%tableShards] }

func (s *shard) at(slot uint32) *entry { return &s.hot[slot/chunkKeys][slot%chunkKeys] }

func (s *shard) rest(slot uint32) *rest { return &s.cold[slot/chunkKeys][slot%chunkKeys] }

// slot finds a key by its ID.
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

// put takes a row over, unless the table has a newer one. It reports whether it did.
func (t *table) put(r *row) bool {
	n := numberOf(r.ID)
	s := t.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, known := s.slot(n, r.ID)
	if !known {
		slot = s.add(n)
	}
	e, more := s.at(slot), s.rest(slot)
	if known && more.version >= r.version {
		return false
	}
	scopes := e.scopes
	if !known || s.scopes.get(&s.texts, scopes).String() != r.Scopes.String() {
		scopes = s.scopes.add(&s.texts, r.Scopes)
	}
	noted, print := atomic.LoadUint32(&e.noted), atomic.LoadUint64(&e.print)
	if more.hash != r.current.hash {
		print = 0
	}
	*e = entry{
		hash: [16]byte(r.current.hash[:16]), print: print, id: r.ID, expires: seconds32(r.ExpiresAt), noted: noted,
		owner: s.texts.add(r.Owner), ownerLen: uint16(len(r.Owner)), org: s.texts.add(r.Org), scopes: scopes, //nolint:gosec // see arena.add
		about: aboutKey(r.Kind, warnings(r.IssuedAt, r.ExpiresAt)),
	}
	*more = rest{secret: r.current, version: r.version, confirmBy: unix(r.ConfirmBy), role: indexOf(roles[:], r.Role)}
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

func (s *shard) putSpecial(slot uint32, e *entry, r *row) {
	careful := !r.GraceUntil.IsZero() || r.Limits.metered() || r.Lineage.limited()
	if !careful && len(r.withdrawn) == 0 && len(r.numbers) == 0 && r.highest == 0 {
		delete(s.special, slot)
		return
	}
	x := &special{previous: r.previous, grace: unix(r.GraceUntil), limits: r.Limits,
		usedUp: r.Limits.MaxUses > 0 && r.Uses >= r.Limits.MaxUses, taken: taken{r.withdrawn, r.numbers, r.highest}, lineage: r.Lineage}
	if c := r.Limits.Rate; c.Count > 0 {
		x.limiter = rate.NewLimiter(rate.Limit(float64(c.Count)/c.Per.Seconds()), int(c.Count))
		if old := s.special[slot]; old != nil && old.limits.Rate == c {
			x.limiter = old.limiter // a change of the key gives no uses back
		}
	}
	s.special[slot] = x
	if careful {
		e.flags |= flagSpecial
	}
}

// seconds32 are unix seconds until 2106, and that year for ever after.
func seconds32(t time.Time) uint32 { return uint32(min(unix(t), math.MaxUint32)) } //nolint:gosec // bounded

func indexOf[T comparable](list []T, v T) uint8 {
	for i := range list {
		if list[i] == v {
			return uint8(i) //nolint:gosec // lists of five at most
		}
	}
	return 0
}

// useUp marks a key whose uses are all taken, so that the database is not asked again.
func (t *table) useUp(id uuid.UUID) {
	n := numberOf(id)
	s := t.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.slot(n, id); ok && s.special[slot] != nil {
		x := *s.special[slot]
		x.usedUp = true
		s.special[slot] = &x
	}
}

// found is a key as the table had it at one moment.
type found struct {
	entry
	rest
	special *special // nil, or not to be changed
	owner   string
	org     string
	scopes  bridge.Scopes
}

// find returns a key by its ID.
func (t *table) find(id uuid.UUID) (found, bool) {
	n := numberOf(id)
	s := t.shard(n)
	s.mu.RLock()
	defer s.mu.RUnlock()
	slot, ok := s.slot(n, id)
	if !ok {
		return found{}, false
	}
	e := s.at(slot)
	// Field by field: print and noted are changed by others meanwhile.
	known := entry{hash: e.hash, id: e.id, expires: e.expires, owner: e.owner, ownerLen: e.ownerLen, org: e.org,
		scopes: e.scopes, flags: e.flags, about: e.about}
	return found{entry: known, rest: *s.rest(slot), special: s.special[slot],
		owner: s.texts.get(e.owner), org: s.texts.get(e.org), scopes: s.scopes.get(&s.texts, e.scopes)}, true
}

// fingerprint recognises the text of a key within this process.
func (t *table) fingerprint(key bridge.Secret) uint64 { return maphash.String(t.seed, key.Reveal()) }

// learn keeps the fingerprint of a key that the careful way has verified. A rotation whose grace is over is nothing special
// any more; why its old secret is refused stays known.
func (t *table) learn(key bridge.Key, now int64) {
	n := numberOf(key.ID)
	s := t.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.slot(n, key.ID)
	if !ok || s.rest(slot).hash != key.Hash() {
		return
	}
	e := s.at(slot)
	atomic.StoreUint64(&e.print, t.fingerprint(key.Text()))
	if x := s.special[slot]; x != nil && now >= x.grace && !x.limits.metered() && !x.lineage.limited() {
		e.flags &^= flagSpecial
	}
}

// hot verifies a key that is alive, has nothing special and has been verified before, fills in its identity, and says
// whether its use is to be noted. It allocates nothing. Everything that it does not answer is for the careful way, which
// knows the causes.
func (t *table) hot(p *bridge.Presented, now int64, id *bridge.Identity) (note, ok bool) {
	tail, hash, ok := bridge.LookUpKey(p.Value)
	if !ok {
		return false, false
	}
	n := number(tail)
	s := t.shard(n)
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
	// The hash proves the secret, and the fingerprint that all else is as it was when each part was checked. How long the
	// comparison of hashes takes says nothing of the secret.
	if e.flags != 0 || (e.expires != 0 && now >= int64(e.expires)) ||
		atomic.LoadUint64(&e.print) != t.fingerprint(p.Value) || (p.KeyID.Valid && p.KeyID.UUID != e.id) {
		return false, false
	}
	e.identify(id)
	id.Subject, id.Org, id.Scopes = s.texts.slice(e.owner, e.ownerLen), s.texts.get(e.org), s.scopes.get(&s.texts, e.scopes)
	if noted := atomic.LoadUint32(&e.noted); uint32(now)-noted >= noteEvery { //nolint:gosec // see seconds32
		note = atomic.CompareAndSwapUint32(&e.noted, noted, uint32(now)) //nolint:gosec // see seconds32
	}
	return note, true
}

// identify fills in what an entry says by itself.
func (e *entry) identify(id *bridge.Identity) {
	id.Type, id.KeyID, id.Kind = bridge.TypeAPIKey, e.id, e.kind()
	id.Environment, id.Generation = id.Kind.Environment(), binary.BigEndian.Uint64(e.hash[:])
	if e.expires != 0 {
		id.ExpiresAt, id.WarnFrom = at(int64(e.expires)), at(e.warnFrom())
	}
}

// generation tells the secrets of one key apart.
func (s *secret) generation() uint64 { return binary.BigEndian.Uint64(s.hash[:]) }

func (s *secret) publicKey() ed25519.PublicKey { return s.public[:] }

// text is a place in an arena; 0 is the empty text.
type text uint32

// arena keeps short texts of which many are the same, without a pointer for each. A text has its length before it.
type arena struct {
	blocks [][]byte
	seed   maphash.Seed
	known  map[uint64]text // by hash
}

const (
	arenaBlock = 32 << 10 // more than the text of any key: its scopes are 16.1 KiB at most
	lengthSize = 2
)

func (a *arena) init() {
	a.seed, a.known = maphash.MakeSeed(), map[uint64]text{}
}

func (a *arena) add(s string) text {
	if s == "" || len(s) > arenaBlock-lengthSize-1 {
		return 0
	}
	hash := maphash.String(a.seed, s)
	place, ok := a.known[hash]
	if ok && a.get(place) == s {
		return place
	}
	last := len(a.blocks) - 1
	if last < 0 || len(a.blocks[last])+lengthSize+len(s) > cap(a.blocks[last]) {
		a.blocks = append(a.blocks, append(make([]byte, 0, arenaBlock), 0)) // nothing begins at 0
		last++
	}
	place = text(last*arenaBlock + len(a.blocks[last]))                            //nolint:gosec // 4 GiB of texts in a shard are not reached
	a.blocks[last] = binary.BigEndian.AppendUint16(a.blocks[last], uint16(len(s))) //nolint:gosec // shorter than a block
	a.blocks[last] = append(a.blocks[last], s...)
	if !ok {
		a.known[hash] = place
	}
	return place
}

// get returns a text in place: what is in a block is never changed.
func (a *arena) get(t text) string {
	if t == 0 {
		return ""
	}
	return a.slice(t, binary.BigEndian.Uint16(a.blocks[t/arenaBlock][t%arenaBlock:]))
}

// slice is get for who knows the length.
func (a *arena) slice(t text, length uint16) string {
	if t == 0 {
		return ""
	}
	return unsafe.String(&a.blocks[t/arenaBlock][t%arenaBlock+lengthSize], length)
}

// scopeSets keeps the sets of scopes, of which most keys share a few, ready to use; beyond a bound only their text.
type scopeSets struct {
	sets  []bridge.Scopes
	texts []text
	known map[string]uint32
}

const maxScopeSets = 512

func (s *scopeSets) init() { s.known = map[string]uint32{} }

func (s *scopeSets) add(texts *arena, scopes bridge.Scopes) uint32 {
	joined := scopes.String()
	if i, ok := s.known[joined]; ok {
		return i
	}
	if len(s.sets) < maxScopeSets {
		s.known[joined] = uint32(len(s.sets)) //nolint:gosec // bounded
		s.sets = append(s.sets, scopes)
		return uint32(len(s.sets) - 1) //nolint:gosec // bounded
	}
	s.texts = append(s.texts, texts.add(joined))
	return maxScopeSets + uint32(len(s.texts)) - 1 //nolint:gosec // as many as keys
}

func (s *scopeSets) get(texts *arena, i uint32) bridge.Scopes {
	if i < maxScopeSets {
		return s.sets[i]
	}
	scopes, err := bridge.ParseScopes(texts.get(s.texts[i-maxScopeSets]))
	if err != nil {
		return nil // it was read by the same function before it came in
	}
	return scopes
}

package table

import (
	"encoding/binary"
	"hash/maphash"
	"unsafe"

	"github.com/acebridge/ace/bridge"
)

// text is the position of a text in an arena; 0 is the empty text.
type text uint32

// arena stores short texts, many of them equal, without a pointer for each. A text is preceded by its length.
type arena struct {
	blocks [][]byte
	seed   maphash.Seed
	known  map[uint64]text // by hash
}

const (
	arenaBlock = 32 << 10 // longer than any text of a key: its scopes are at most 16.1 KiB
	lengthSize = 2
)

func (a *arena) init() {
	a.seed, a.known = maphash.MakeSeed(), map[uint64]text{}
}

// add stores a text, or finds it if it is already there.
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

// get returns a text without copying it: blocks are never changed once written.
func (a *arena) get(t text) string {
	if t == 0 {
		return ""
	}
	return a.slice(t, binary.BigEndian.Uint16(a.blocks[t/arenaBlock][t%arenaBlock:]))
}

// slice is get for a caller who knows the length.
func (a *arena) slice(t text, length uint16) string {
	if t == 0 {
		return ""
	}
	return unsafe.String(&a.blocks[t/arenaBlock][t%arenaBlock+lengthSize], length)
}

// scopeSets keeps sets of scopes ready to use, since most keys share a few. Beyond a limit it keeps only their text.
type scopeSets struct {
	sets  []bridge.Scopes
	texts []text
	known map[string]uint32
}

const maxScopeSets = 512

func (s *scopeSets) init() { s.known = map[string]uint32{} }

// add stores a set of scopes, or finds it if it is already there.
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

// get returns a stored set of scopes.
func (s *scopeSets) get(texts *arena, i uint32) bridge.Scopes {
	if i < maxScopeSets {
		return s.sets[i]
	}
	scopes, err := bridge.ParseScopes(texts.get(s.texts[i-maxScopeSets]))
	if err != nil {
		return nil // cannot happen: it was parsed before it was added
	}
	return scopes
}

package table

// index finds the slots of a shard by a number derived from the key ID. It is a plain hash table with four bytes per cell and
// linear probing; nothing is ever deleted. A Go map would take three times the memory, and with many keys half the time of a
// verification is spent waiting for memory. The numbers come from random IDs, which no outsider chooses.
type index struct {
	cells []uint32 // 0: empty; otherwise the tag in the upper 8 bits, and slot+1 below
	used  int
}

const (
	tagBits   = 8
	slotBits  = 32 - tagBits
	slotMask  = 1<<slotBits - 1
	minCells  = 64
	perShard  = 6 // the lower bits of the number, which choose the shard
	loadLimit = 2 // at least this many cells per used one
)

func tagOf(number uint32) uint32 { return number >> slotBits }

// probe walks over the cells in which a number may be.
type probe struct {
	cells []uint32
	at    uint32
	tag   uint32
}

func (x *index) probe(number uint32) probe {
	return probe{cells: x.cells, at: number >> perShard, tag: tagOf(number)}
}

// next returns the next slot that may match.
func (p *probe) next() (slot uint32, ok bool) {
	for {
		c := p.cells[p.at&uint32(len(p.cells)-1)] //nolint:gosec // a power of two
		p.at++
		if c == 0 {
			return 0, false
		}
		if c>>slotBits == p.tag {
			return c&slotMask - 1, true
		}
	}
}

// add adds a slot. numberOf returns the number of any slot, to lay out the cells again when the table grows.
func (x *index) add(number, slot uint32, numberOf func(slot uint32) uint32) {
	if (x.used+1)*loadLimit > len(x.cells) {
		old := x.cells
		x.cells = make([]uint32, max(minCells, 2*len(old)))
		for _, c := range old {
			if c != 0 {
				x.put(numberOf(c&slotMask-1), c)
			}
		}
	}
	x.put(number, tagOf(number)<<slotBits|(slot+1))
	x.used++
}

// put stores a cell in the first free place for its number.
func (x *index) put(number, cell uint32) {
	mask := uint32(len(x.cells) - 1) //nolint:gosec // a power of two
	i := number >> perShard & mask
	for x.cells[i] != 0 {
		i = (i + 1) & mask
	}
	x.cells[i] = cell
}

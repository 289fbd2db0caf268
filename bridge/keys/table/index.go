package table

// index finds the slots of a shard by a number of the key ID. It is a plain hash table of four bytes a cell with linear
// probing, in which nothing is ever deleted: a map of the same takes three times the memory, and among many keys half
// the time of a verification is spent waiting for memory. The numbers come from random IDs that nobody outside chooses.
type index struct {
	cells []uint32 // 0: empty; otherwise the tag in the upper 8 bits, and one more than the slot
	used  int
}

const (
	tagBits   = 8
	slotBits  = 32 - tagBits
	slotMask  = 1<<slotBits - 1
	minCells  = 64
	perShard  = 6 // lower bits of the number that chose the shard
	loadLimit = 2 // cells there are at least for each that is used
)

func tagOf(number uint32) uint32 { return number >> slotBits }

// probe is a walk over the cells where a number may be.
type probe struct {
	cells []uint32
	at    uint32
	tag   uint32
}

func (x *index) probe(number uint32) probe {
	return probe{cells: x.cells, at: number >> perShard, tag: tagOf(number)}
}

// next returns the next slot that may be the one.
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

// add puts in a slot; number says the number of any slot, for when the cells have to be laid out anew.
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

func (x *index) put(number, cell uint32) {
	mask := uint32(len(x.cells) - 1) //nolint:gosec // a power of two
	i := number >> perShard & mask
	for x.cells[i] != 0 {
		i = (i + 1) & mask
	}
	x.cells[i] = cell
}

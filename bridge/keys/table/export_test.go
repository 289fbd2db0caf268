package table

// Age lets the last comparison with the database be longer ago than the lease.
func (t *Table) Age() { t.synced.Store(monotonic() - int64(lease) - 1) }

// Freshen is what Run does once the table is up to date.
func (t *Table) Freshen() { t.stale.Store(false) }

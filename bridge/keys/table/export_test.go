package table

// Age makes the last comparison with the database older than the lease.
func (t *Table) Age() { t.synced.Store(monotonic() - int64(lease) - 1) }

// Freshen does what Run does once the table is up to date.
func (t *Table) Freshen() { t.stale.Store(false) }

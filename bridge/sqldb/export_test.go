package sqldb

import "time"

// SetPatience shortens how long changes of a database wait, for tests.
func (db *DB) SetPatience(d time.Duration) { db.patience = d }

// ForgetWrite makes the next [DB.Writable] ask the database.
func (db *DB) ForgetWrite() { db.writes.at = time.Time{} }

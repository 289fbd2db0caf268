package sqldb

import "time"

// ForgetWrite makes the next [DB.Writable] ask the database.
func (db *DB) ForgetWrite() { db.writes.at = time.Time{} }

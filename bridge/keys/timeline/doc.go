// Package timeline keeps what must never go back in a database of keys: the number of its last change, and the time.
//
// Every change takes the next number under the lock of one row of key_changes ([Line.Next]), and the number is kept outside
// the database as well ([mark.File]). The newest time seen is stored every few seconds. So a restored backup and a clock that was
// set back are noticed, and everything is refused until that is put right or accepted by an operator:
//
//	       number in the database < highest known
//	good ────────────────────────────────────────► behind ──the newest database, or accepted──► good
//	  │
//	  │ clock a little below the newest time seen: time stands still
//	  └─clock more than 5 minutes below it───────► late ──the clock is right again, or accepted──► good
//
// The highest known number comes from this process, the mark and the cloud ([Line.Told]). After an accepted clock, what had
// ended by the later one stays ended ([Line.Ended]).
//
// [Line.Trouble] says why everything is refused. What becomes of the keys when an operator accepts is decided by bridge/keys.
package timeline

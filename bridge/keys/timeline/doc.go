// Package timeline keeps a key database's change number and time from going backwards.
//
// Each change takes the next number under the lock of one row of key_changes ([Line.Next]), and the number is also kept outside
// the database ([mark.File]). The newest time seen is stored every few seconds. So a restored backup or a clock that was set back
// is noticed, and everything is refused until it is put right or an operator accepts it:
//
//	       number in the database < highest known
//	good ────────────────────────────────────────► behind ──the newest database, or accepted──► good
//	  │
//	  │ clock a little below the newest time seen: time stands still
//	  └─clock more than 5 minutes below it───────► late ──the clock is right again, or accepted──► good
//
// The highest known number comes from this process, from the mark and from the cloud ([Line.Told]). After a clock is accepted,
// whatever had ended by the later clock stays ended ([Line.Ended]).
//
// [Line.Trouble] says why everything is refused. What happens to the keys when an operator accepts is up to bridge/keys.
package timeline

// Package scan finds API keys in files, offline.
//
// A key is recognized by its pattern and its checksum, so lookalikes are not reported:
//
//	path ──┬─ a folder ────> each file in it, except .git
//	       └─ a file ──┬─ gzip, bzip2, zip ─> unpacked once ──┐
//	                   └─ anything else ──────────────────────┴─> searched in windows that overlap ──> findings
//
// Whatever could not be searched is named, with the reason. No secret is printed: the output of a scanner ends up in logs.
package scan

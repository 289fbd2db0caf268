// Package cmdline checks a command line before its command runs.
//
// It refuses unknown words and flags, and suggests the nearest one that exists; it also cleans pasted text. No message repeats a value
// that is refused, since it may be a secret in the wrong place.
package cmdline

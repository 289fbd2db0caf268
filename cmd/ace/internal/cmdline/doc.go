// Package cmdline checks the words and flags of a command line before a command sees them.
//
// No message repeats a word that is refused, since it may be a secret in the wrong place.
package cmdline

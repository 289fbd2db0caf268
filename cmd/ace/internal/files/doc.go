// Package files reads small files that people name, and keeps secrets.
//
// What it reads is bounded, and checked like all text from outside ([github.com/acebridge/ace/bridge.OutsideText]). What it writes is for
// the owner only, and replaces the old file in one step: a reader sees the old file or the new one, even after a crash.
package files

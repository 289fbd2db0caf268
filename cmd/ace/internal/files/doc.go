// Package files reads small files that people name, and keeps secrets and settings in files that only their owner may read.
//
// What is read is bounded and read as text from outside ([github.com/acebridge/ace/bridge.OutsideText]); what is written takes the place of
// the old file in one step, so that a reader sees the one or the other, also after a crash.
package files

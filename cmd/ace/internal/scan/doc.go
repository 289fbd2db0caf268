// Package scan finds API keys in files, offline.
//
// A key is found by its pattern and its checksum, so that what looks like a key and is none is not reported. Files are read in
// windows that overlap; packed ones are unpacked once. What could not be searched is named, with why. No secret is printed.
package scan

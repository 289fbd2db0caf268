// Package auditlog parses audit log searches, and puts entries into words.
//
// The dashboard's pages and the JSON API take the same filters in their URLs ([Query]), so that the link to an export is
// the page's own query with another path. [Groups] holds the words for every action that a cloud records; a test reads
// the sources of the cloud and of the key authority, and fails on an action without words.
//
// Entries are written by the stores, in the transaction of the change, and are kept and found by bridge/audit.
package auditlog

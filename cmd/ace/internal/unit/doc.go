// Package unit runs a server under systemd: it writes the unit, and removes it again.
//
// A unit is a system unit, for root, or a unit of one user. Its settings are the variables of the server, each in the place where
// as few as possible can read it:
//
//	ace-server.service        no value of any variable, only names of files
//	DATA.env            0600  settings (EnvironmentFile=)
//	DATA.credentials/   0700  one file of 0600 for each secret: the variable NAME becomes NAME_FILE
//	DATA                0700  the data directory, which the server owns
//
// systemd reads DATA.env itself. A system unit runs as a user of its own that cannot read root's files, so systemd hands the files
// over too (LoadCredential=). The unit of a user names them: the user owns them anyway, and older versions of systemd hand nothing
// to units of users. So no secret is in the unit, in the arguments or in the environment of the process.
//
// The first line of the unit says who wrote it. A unit without that line is neither replaced nor removed:
//
//	absent ──Write──> ours ──Write──> ours, replaced ──Remove──> absent; the data directory stays
//	foreign ─Write──> refused
//
// Which variables there are, and whether they are right, is decided in
// [github.com/acebridge/ace/cmd/ace/internal/run].
package unit

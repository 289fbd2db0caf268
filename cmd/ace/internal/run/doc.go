// Package run runs a server, a cloud, or both for a trial, as the environment says.
//
// It is the only package that reads the settings of a server and a cloud from environment variables (or from files, with _FILE
// appended), and it has the commands that run them and their operator's commands: `ace server …`, `ace cloud …`, `ace dev`.
//
//	variables ──read, as text from outside──> serverEnv, cloudEnv ──check──> server.Config, cloud.Config ──New──> listen, serve
//
// It promises that one start names every mistake in the environment, that a variable which is set and empty counts as a mistake, and
// that no message repeats a value. On a loopback address secrets are made and kept in the data directory; elsewhere they are demanded.
// When it is stopped, requests end first, background work after them, and databases last.
//
// What a server and a cloud do is left to the packages of those names.
package run

// Package run starts a server, a cloud, or both, as the environment says.
//
// It has the commands that run them, and those of their operator: `ace server …`, `ace cloud …`, `ace dev`. No other package reads the
// settings of a server or a cloud from environment variables (or, with _FILE appended, from files):
//
//	variables ──read──> serverEnv, cloudEnv ──check──> server.Config, cloud.Config ──New──> listen ──> serve
//	                              │                                                                      │
//	                              └─ mistakes: all are named, nothing starts                        stop │
//	                                                                                                     v
//	                                        databases are closed <── background work ends <── requests end
//
// It promises:
//   - One start names every mistake in the environment. A variable that is set but empty is a mistake.
//   - No message repeats a variable's value.
//   - On a loopback address, missing secrets are made and kept in the data directory. On any other address they must be set.
//
// The operator's commands open the database themselves; most of them also work while the server or cloud runs.
//
// What a server and a cloud do is decided in the packages of those names.
package run

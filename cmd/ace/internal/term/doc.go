// Package term is how a command talks to a person and to scripts.
//
// A [Terminal] has the three streams and the flags that every command takes:
//
//	results ──────────────> stdout    a table, JSON or YAML ([Terminal.Print])
//	notes, progress ──────> stderr    not with --quiet ([Terminal.Note], [Terminal.Working])
//	questions ────────────> stderr    answers come from stdin ([Terminal.AskLine], [Terminal.AskSecret], [Terminal.Pick])
//	failures ─────────────> stderr    "ace: …" and "fix: …", or a line of JSON ([Terminal.Fail])
//	                         └──────> an exit code, which follows from the error ([ExitCode])
//
// It promises:
//   - Nothing is asked if nobody can answer: without a terminal, in CI, or with --non-interactive ([Terminal.Interactive]).
//   - Ctrl-C ends a question at once, although nothing can cancel the read ([Await]).
//   - No message repeats a secret that the command was given ([Terminal.Without]).
//   - Text from a server cannot move the cursor ([Row]).
//   - Commands in hints work when typed here: with the program's own path, --env and --profile ([Terminal.AsTyped]).
//
// It knows no cloud, no server and no profile.
package term

// Package term is the terminal of a command: its streams, what is printed on them, and what is asked.
//
// A [Terminal] has the three streams and the flags that every command takes. Results go to stdout, as a table, JSON or YAML
// ([Terminal.Print]); everything else goes to stderr: notes, questions, the line that says what is waited for, and how a command
// failed ([Terminal.Fail]). Exit codes follow from errors ([ExitCode]).
//
// It promises:
//   - Nothing is asked where there is nobody to ask: without a terminal, in CI, and with --non-interactive ([Terminal.Interactive]).
//   - Ctrl-C ends a question at once, although nothing can cancel the read ([Await]).
//   - No message repeats a secret that the command was given ([Terminal.Without]).
//   - What comes from a server cannot move the cursor ([Row]).
//   - Commands in hints work as they are typed here: with the program's own path, --env and --profile ([Terminal.AsTyped]).
//
// It knows no cloud, no server and no profile.
package term

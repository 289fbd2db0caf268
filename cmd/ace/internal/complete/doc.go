// Package complete offers words for a half-typed command line: what the shell completes with Tab.
//
// [Completer.Fill] gives every argument and flag of a tree of commands the words that may stand there: names of connections, keys and
// members from the cloud, profiles from config.json, or a fixed list. A place without words offers no files either, except for `ace
// scan`.
//
// Completion runs at a key press, so nobody must notice it:
//   - It takes a second at most, whatever answers or does not.
//   - It says nothing, asks nothing, and renews and stores nothing: a shell may be closed over it.
//   - Names come from other people. What a terminal cannot show, or what a command would take for a flag, is not offered.
package complete

// Package complete finds the words that the shell offers with Tab.
//
// [Completer.Fill] gives every argument and flag of a tree of commands the words that may stand there: names of connections, keys and
// members from the cloud, profiles from config.json, or a fixed list. Where there are no words, no files are offered either, except
// for `ace scan`.
//
// Completion runs at a key press, so nobody must notice it:
//   - It takes a second at most, whatever answers or does not.
//   - It says nothing, asks nothing, and renews and stores nothing: a shell may be closed over it.
//   - Names come from other people. What a terminal cannot show, or what a command would take for a flag, is not offered.
package complete

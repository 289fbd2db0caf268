// Package menu is `ace -i`: menus to choose a command from.
//
// An entry is a menu of its own, or a command with questions. The menu has no rules: it makes an argument list from the answers
// and runs the command as if it had been typed:
//
//	a menu ──pick──> an entry ──answers──> $ ace api-key create --name=ci ──run──> back to the menu
//	  ^                                          │
//	  └──────────── no answer, or Esc ───────────┘
//
// It promises that no secret is in an argument list, which other programs can read: a secret goes to the command's stdin. No answer
// is taken for a flag. A command that fails does not end the menu; Ctrl-C does.
package menu

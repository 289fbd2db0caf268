// Package e2e holds end-to-end tests, from a user's point of view.
//
//	browser   the dashboard and ace.js in a real browser, axe-core's pass over its pages included
//	proxies   every door to an app: nginx, Caddy, forward-auth, guard, gateway, relay; and how processes stop
//	scenario  a cloud and a server together: connect, share, withdraw, replicas
//	scripts   testdata/*.txtar, command lines as a user types them
//	terminal  the command on a terminal and in a pipe: prompts, logins, exit codes, the README's tour
//	world     what they share: a cloud, a server and an app in this process; the command, built once; terminals
//
// A test that needs no second program belongs beside the code it is about.
package e2e

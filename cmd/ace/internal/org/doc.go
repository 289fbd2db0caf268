// Package org has `ace org`: organizations, members, invitations, the audit log.
//
// Most of them work on the organization that the login is in now; `ace org switch` moves the session of the profile to another.
// The way of a member:
//
//	invite ──> invited ──join──> member ──role──> member, with another role
//	             │                 │
//	          withdraw       remove or leave
//	             │                 │
//	             └─> nobody        └─> gone; their private connections go to the admins
//
// Before a member goes or a role is lowered, the commands print what else that ends, and ask
// ([github.com/acebridge/ace/cmd/ace/internal/preview]). The token of an invitation is sent only to the cloud that its link names.
//
// Who may do what is decided by the cloud.
package org

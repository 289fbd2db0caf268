// Package docs embeds the documentation, so that a cloud can serve what belongs to its version.
package docs

import "embed"

// Files are the pages, in Markdown, as they are in this folder.
//
//go:embed *.md
var Files embed.FS

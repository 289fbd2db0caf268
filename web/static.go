package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed static
var staticFiles embed.FS

// asset is a style, a script or a picture, compressed once, when the first one is asked for.
type asset struct {
	mediaType   string
	plain, gzip []byte
	tag         string // of its content
}

var assets = sync.OnceValue(func() map[string]asset {
	out := map[string]asset{}
	files, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err) // the folder is embedded
	}
	for _, file := range files {
		plain, err := staticFiles.ReadFile("static/" + file.Name())
		if err != nil {
			panic(err)
		}
		var small bytes.Buffer
		w, _ := gzip.NewWriterLevel(&small, gzip.BestCompression)
		_, _ = w.Write(plain) // to memory
		_ = w.Close()
		sum := sha256.Sum256(plain)
		out[file.Name()] = asset{mediaType: mediaType(file.Name()), plain: plain, gzip: small.Bytes(), tag: hex.EncodeToString(sum[:8])}
	}
	return out
})

// mediaType does not go by the machine's own table, which may lack or alter what a page depends on.
func mediaType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

// versioned is the URL of a static file with its tag, under which a browser keeps it for ever.
func versioned(name string) (string, error) {
	a, ok := assets()[name]
	if !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return "/static/" + name + "?v=" + a.tag, nil
}

// Static serves the styles and scripts, below the path /static/. What is asked for without its tag, as modules import each
// other and other people's pages import ace.js, is asked for again each time, and sent only when it is another.
func Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets()[strings.TrimPrefix(r.URL.Path, "/static/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.mediaType)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		if r.URL.Query().Get("v") == a.tag {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		h.Add("Vary", "Accept-Encoding")
		body, tag := a.plain, a.tag
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body, tag = a.gzip, a.tag+"-gzip"
		}
		h.Set("ETag", `"`+tag+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

// acceptsGzip reads an Accept-Encoding (RFC 9110 section 12.5.3); a weight other than none does not matter with one
// choice.
func acceptsGzip(header string) bool {
	for choice := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(choice), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			weight = strings.ReplaceAll(weight, " ", "")
			return weight != "q=0" && weight != "q=0.0" && weight != "q=0.00" && weight != "q=0.000"
		}
	}
	return false
}

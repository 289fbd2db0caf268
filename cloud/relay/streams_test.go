package relay_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/acebridge/ace/cloud/who"
)

func echoServer(ws *websocket.Conn) { _, _ = io.Copy(ws, ws) }

func (f *fixture) webSocket(relay string, headers ...string) (*websocket.Conn, error) {
	f.T.Helper()
	cfg, err := websocket.NewConfig(strings.Replace(f.Server, "http", "ws", 1)+relay+"/echo", f.Server)
	if err != nil {
		f.T.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		cfg.Header.Set(headers[i], headers[i+1])
	}
	return cfg.DialContext(f.T.Context())
}

func TestRelayStreams(t *testing.T) { eachWay(t, who.RelayLimits{}, doStreams) }

func doStreams(t *testing.T, f *fixture) {
	next, gone := make(chan string), make(chan struct{})
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case s := <-next:
				_, _ = io.WriteString(w, "data: "+s+"\n\n")
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := f.send(f.request("GET", relay+"/events", nil).WithContext(ctx))
	events := bufio.NewReader(resp.Body)
	for _, s := range []string{"one", "two", "three"} { // each arrives before the next is sent
		next <- s
		line, err := events.ReadString('\n')
		if err != nil || line != "data: "+s+"\n" {
			t.Fatalf("%q %v", line, err)
		}
		_, _ = events.ReadString('\n')
	}
	cancel()
	<-gone // the server has seen that the client is
}

func TestRelayStreamsUpwards(t *testing.T) { eachWay(t, who.RelayLimits{}, doStreamsUpwards) }

func doStreamsUpwards(t *testing.T, f *fixture) {
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for lines.Scan() {
			_, _ = io.WriteString(w, strings.ToUpper(lines.Text())+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	up, feed := io.Pipe()
	resp := f.send(f.request("POST", relay+"/upper", up))
	answers := bufio.NewReader(resp.Body)
	for _, s := range []string{"one", "two"} {
		if _, err := io.WriteString(feed, s+"\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := answers.ReadString('\n'); err != nil || line != strings.ToUpper(s)+"\n" {
			t.Fatalf("%q %v", line, err)
		}
	}
	_ = feed.Close()
	if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}

func TestRelayWebSocket(t *testing.T) { eachWay(t, who.RelayLimits{}, doWebSocket) }

func doWebSocket(t *testing.T, f *fixture) {
	ended := make(chan struct{}, 2)
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != plainKey || r.Header.Get("Cookie") != "" {
			t.Errorf("the handshake has %v", r.Header)
		}
		websocket.Server{Handler: echoServer}.ServeHTTP(w, r)
		ended <- struct{}{}
	})
	for _, credential := range [][]string{{"Authorization", f.Bearer()}, {"Cookie", f.Cookie("ann@acme.test", "acme")}} {
		ws, err := f.webSocket(relay, credential...)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 1 << 10, 1 << 20} {
			sent, got := bytes.Repeat([]byte("x"), size), make([]byte, size)
			go func() { _, _ = ws.Write(sent) }()
			if n, err := io.ReadFull(ws, got); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes came back (%v), want %d", n, err, size)
			}
		}
		_ = ws.Close()
		<-ended
	}
}

func TestRelayTrailers(t *testing.T) { eachWay(t, who.RelayLimits{}, doTrailers) }

func doTrailers(t *testing.T, f *fixture) {
	seen := make(chan http.Header, 1)
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, Set-Cookie")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "42")
		w.Header().Set("Set-Cookie", "evil=1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
		w.Header().Set(http.TrailerPrefix+"X-Ace-Relay", "evil")
		seen <- r.Trailer
	})
	r := f.request("POST", relay+"/x", io.NopCloser(strings.NewReader("body")))
	r.Trailer = http.Header{"X-Digest": {"sha"}, "X-Ace-Subject": {"evil"}, "Authorization": {"evil"}}
	resp := f.send(r)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "body" {
		t.Fatalf("%q %v", body, err)
	}
	if resp.Trailer.Get("X-Sum") != "42" || resp.Trailer.Get("X-Late") != "late" || len(resp.Trailer) != 2 {
		t.Errorf("the answer's trailers: %v", resp.Trailer)
	}
	if got := <-seen; got.Get("X-Digest") != "sha" || len(got) != 1 {
		t.Errorf("the request's trailers: %v", got)
	}
}

// A client that waits to be asked for its body is asked when the server asks, and not when it refuses.
func TestRelayExpectContinue(t *testing.T) { eachWay(t, who.RelayLimits{}, doExpectContinue) }

func doExpectContinue(t *testing.T, f *fixture) {
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/refuse") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	for path, asked := range map[string]bool{"/take": true, "/refuse": false} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.Server, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "POST "+relay+path+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(f.Server, "http://")+"\r\nAuthorization: "+f.Bearer()+
			"\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		answers := bufio.NewReader(conn)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || (resp.StatusCode == http.StatusContinue) != asked {
			t.Fatalf("%s: %v %v", path, resp, err)
		}
		if !asked {
			continue
		}
		_, _ = io.WriteString(conn, "body")
		resp, err = http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", resp, err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "body" {
			t.Errorf("%q %v", body, err)
		}
	}
}

var bulkBytes = int64(1 << 30)

// zeros is a body of n bytes that notes, now and then, how much memory is in use.
type zeros struct {
	left, mark int64
	most       uint64
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	if z.left -= n; z.left < z.mark {
		z.mark -= bulkBytes / 16
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		z.most = max(z.most, m.HeapInuse)
	}
	return int(n), nil
}

func TestRelayBulkAtFlatMemory(t *testing.T) { eachWay(t, who.RelayLimits{}, doBulkAtFlatMemory) }

func doBulkAtFlatMemory(t *testing.T, f *fixture) {
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			_ = json.NewEncoder(w).Encode(n)
			return
		}
		_, _ = io.Copy(w, &zeros{left: bulkBytes})
	})
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	up := &zeros{left: bulkBytes, mark: bulkBytes}
	resp := f.send(f.request("POST", relay+"/up", up))
	var got int64
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got != bulkBytes {
		t.Errorf("the server got %d bytes (%v)", got, err)
	}
	down := &zeros{left: bulkBytes, mark: bulkBytes}
	resp = f.send(f.request("GET", relay+"/down", nil))
	n, err := io.Copy(writerFunc(func(p []byte) (int, error) { return down.Read(p) }), resp.Body)
	if err != nil || n != bulkBytes {
		t.Errorf("the client got %d bytes (%v)", n, err)
	}
	const room = 24 << 20
	if most := max(up.most, down.most); most > before.HeapInuse+room {
		t.Errorf("%d MiB of memory in use, %d MiB before", most>>20, before.HeapInuse>>20)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The relay takes no more from a server than the client takes from it.
func TestRelayBackpressure(t *testing.T) { eachWay(t, who.RelayLimits{}, doBackpressure) }

func doBackpressure(t *testing.T, f *fixture) {
	sent := make(chan int, 1)
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		control, piece, total := http.NewResponseController(w), bytes.Repeat([]byte("x"), 1<<20), 0
		for r.Context().Err() == nil && total < 1<<30 {
			_ = control.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)) // no progress for so long is being held back
			if _, err := w.Write(piece); err != nil {
				break
			}
			total += len(piece)
		}
		sent <- total
	})
	resp := f.send(f.request("GET", relay+"/endless", nil)) // and nobody reads
	if total := <-sent; total > 256<<20 {
		t.Errorf("the server could send %d MiB to a client that reads nothing", total>>20)
	}
	_ = resp.Body.Close()
}

// A server that answers before it has read a stream leaves the client's connection fit for the next request.
func TestRelayAnswersBeforeTheStreamEnds(t *testing.T) {
	eachWay(t, who.RelayLimits{}, doAnswersBeforeTheStreamEnds)
}

func doAnswersBeforeTheStreamEnds(t *testing.T, f *fixture) {
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 { // over HTTP/2 it would end the link
			w.Header().Set("Connection", "close")
		}
	})
	host := strings.TrimPrefix(f.Server, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	for i := range 50 {
		_, _ = io.WriteString(conn, "POST "+relay+"/x HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: "+f.Bearer()+"\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
		_, _ = io.WriteString(conn, "0\r\n\r\n")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Close {
			t.Fatalf("request %d: %v", i, resp)
		}
	}
}

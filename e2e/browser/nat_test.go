package browser

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/e2e/world"
)

// inside is a network of its own: a namespace that a virtual cable joins to this machine, without a route to anywhere else. Nothing
// in it can be called from here unless it listens, and nothing does.
type inside struct {
	t       *testing.T
	name    string // of the namespace; empty: there are none here, and programs only listen nowhere
	outside string // this machine's address, as seen from there
}

// newInside makes one, where the machine lets tests make namespaces.
func newInside(t *testing.T) *inside {
	t.Helper()
	n := &inside{t: t, outside: "127.0.0.1"}
	id := os.Getpid() % 1000
	name, cable := fmt.Sprintf("ace-nat-%d", id), fmt.Sprintf("acen%d", id)
	if out, err := exec.CommandContext(t.Context(), "ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Logf("no network namespaces here, the server just listens nowhere: %v %s", err, out)
		return n
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	n.name, n.outside = name, fmt.Sprintf("10.213.%d.1", id%250)
	for _, line := range []string{
		fmt.Sprintf("ip link add %sa type veth peer name %sb netns %s", cable, cable, name),
		fmt.Sprintf("ip addr add %s/30 dev %sa", n.outside, cable), fmt.Sprintf("ip link set %sa up", cable),
		fmt.Sprintf("ip -n %s addr add 10.213.%d.2/30 dev %sb", name, id%250, cable), fmt.Sprintf("ip -n %s link set %sb up", name, cable),
		fmt.Sprintf("ip -n %s link set lo up", name),
	} {
		args := strings.Fields(line)
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:gosec // our own lines
			t.Fatalf("%s: %v %s", line, err, out)
		}
	}
	return n
}

// command is a command line that runs in there.
func (n *inside) command(cmd *exec.Cmd) *exec.Cmd {
	if n.name == "" {
		return cmd
	}
	in := exec.CommandContext(n.t.Context(), "ip", append([]string{"netns", "exec", n.name}, cmd.Args...)...) //nolint:gosec // our own commands
	in.Env, in.Dir, in.Stdin = cmd.Env, cmd.Dir, cmd.Stdin
	return in
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts a process, for the time of the test.
func start(t *testing.T, cmd *exec.Cmd) *output {
	t.Helper()
	said := &output{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%v:\n%s", cmd.Args, said)
		}
	})
	return said
}

// patiently asks again until it is so.
func patiently(t *testing.T, what string, most time.Duration, is func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for tick := time.NewTicker(200 * time.Millisecond); !is(); <-tick.C {
		if time.Since(began) > most {
			t.Fatalf("not within %s: %s", most, what)
		}
	}
	return time.Since(began)
}

// certificate makes a certificate for an address, signed by itself.
func certificate(t *testing.T, dir, address string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ace test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(address)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func freePort(t *testing.T, host string) string {
	t.Helper()
	ln, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// hosted is a cloud as a vendor runs it, with the command ace and https.
func hosted(t *testing.T, host string) (url, cert string, operator *world.Terminal) {
	t.Helper()
	operator = world.NewTerminal(t)
	cert, key := certificate(t, operator.Home, host)
	addr := freePort(t, host)
	url = "https://" + addr
	operator.Env = append(operator.Env, "ACE_ADDR="+addr, "ACE_PUBLIC_URL="+url, "ACE_TLS_CERT="+cert, "ACE_TLS_KEY="+key, "SSL_CERT_FILE="+cert,
		"ACE_DATA_DIR="+filepath.Join(operator.Home, "cloud"), "ACE_LOG_LEVEL=warn",
		"ACE_CLOUD_SIGNING_KEY="+strings.TrimSpace(operator.Must("", "cloud", "new-signing-key").Stdout),
		"ACE_DATABASE_ENCRYPTION_KEY="+strings.TrimSpace(operator.Must("", "cloud", "new-encryption-key").Stdout))
	operator.Must(world.Password, "cloud", "user", "add", "--email", "olga@acme.test", "--org", "acme", "--role", "owner", "--password-stdin")
	start(t, operator.Command("", "cloud"))
	patiently(t, "the cloud is up", time.Minute, func() bool { return operator.Run("", "cloud", "health").Code == 0 })
	return url, cert, operator
}

// A server in a network without a way in joins with one command, is online within seconds, and is used from the hosted dashboard.
func TestBehindNAT(t *testing.T) {
	t.Parallel()
	world.Installed(t, "chromium")
	n := newInside(t)
	url, cert, _ := hosted(t, n.outside)
	admin := world.NewTerminal(t, "SSL_CERT_FILE="+cert)
	admin.Must(world.Password, "login", "--env", url, "--email", "olga@acme.test", "--password-stdin", "--no-connect")
	ctx := browser(t, chromedp.Flag("ignore-certificate-errors", true))
	run := steps(t, ctx)
	run("make a join token", signIn(url, "olga@acme.test"), chromedp.Navigate(url+"/connections/new"), chromedp.Click(`form[action="/connections/join"] button.primary`),
		chromedp.WaitVisible(`#join-token`))
	shoot(t, ctx, "nat-token")
	token, err := chromedp.Run(ctx, chromedp.Value(`#join-token`))
	if err != nil || !strings.HasPrefix(token, "ace_jt1.") {
		t.Fatalf("the token on the page is %.20q (%v)", token, err)
	}

	plant := world.NewTerminal(t, "SSL_CERT_FILE="+cert, "ACE_ADDR=none", "ACE_UPSTREAM_URL=http://127.0.0.1:18080")
	app := exec.CommandContext(t.Context(), "ace", "dev", "app", "--addr", "127.0.0.1:18080")
	app.Env = plant.Env
	if n.name == "" {
		addr := freePort(t, "127.0.0.1")
		plant.Env[len(plant.Env)-1] = "ACE_UPSTREAM_URL=http://" + addr
		app.Args[len(app.Args)-1] = addr
	}
	start(t, n.command(app))
	joining := n.command(plant.Command(token+"\n", "server", "join", "-"))
	start(t, joining)
	began := time.Now()
	var found api.Connection
	defer func() {
		if t.Failed() {
			t.Log(admin.Run("", "connections", "list", "-o", "json").Stdout)
		}
	}()
	patiently(t, "it is online", time.Minute, func() bool {
		var list api.List[api.Connection]
		text := admin.Must("", "connections", "list", "-o", "json").Stdout
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		for _, found = range list.Items {
			return found.Status == "online"
		}
		return false
	})
	t.Logf("online %s after the command", time.Since(began).Round(100*time.Millisecond))
	if found.Way != api.WayTunnel || found.Owner != "org:acme" {
		t.Errorf("%+v", found)
	}
	noSecret(t, joining.Process.Pid, token)

	run("the page notices", chromedp.WaitVisible(`[data-found]`))
	shoot(t, ctx, "nat-found")
	run("the list", chromedp.Navigate(url+"/connections"), eventually(`document.querySelector("[data-badge]")?.textContent === "online"`))
	shoot(t, ctx, "nat-connections")
	run("call the app", chromedp.SetValue(`[data-try] input[name=path]`, "/whoami"), chromedp.Click(`[data-try] button`),
		eventually(`document.querySelector("[data-answer]")?.textContent.includes("olga@acme.test")`))
	run("its page", chromedp.Navigate(url+"/connections/"+found.ID), eventually(`document.body.textContent.includes("over the server's link")`))
	shoot(t, ctx, "nat-connection")
	ends(t, ctx, n, plant, admin, found)
}

// ends disconnects in the terminal: both sides forget.
func ends(t *testing.T, _ context.Context, n *inside, plant, admin *world.Terminal, found api.Connection) {
	t.Helper()
	if out := admin.Must("", "disconnect", found.ID, "--yes"); !strings.Contains(out.Stdout+out.Stderr, "revoked") {
		t.Errorf("disconnect: %s%s", out.Stdout, out.Stderr)
	}
	patiently(t, "the server has no link", 30*time.Second, func() bool {
		cmd := n.command(plant.Command("", "server", "status", "-o", "json"))
		out, _ := cmd.Output() // it is not ready any more, perhaps
		var status api.ServerStatus
		if err := json.Unmarshal(out, &status); err != nil {
			return false
		}
		for _, l := range status.Links {
			for _, one := range l.Links {
				if one.Up {
					return false
				}
			}
		}
		return true
	})
}

// noSecret checks that the process and its children show no secret in their arguments and variables.
func noSecret(t *testing.T, pid int, secret string) {
	t.Helper()
	tail := secret[strings.LastIndexByte(secret, '.')+1:]
	seen := 0
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		for _, name := range []string{"cmdline", "environ"} {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				continue // another's, or gone
			}
			seen++
			if bytes.Contains(raw, []byte(tail)) {
				t.Errorf("%s/%s shows the join token", dir, name)
			}
		}
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil || seen < 4 {
		t.Errorf("%d files were read; %v", seen, err)
	}
}

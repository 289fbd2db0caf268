package bridge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

func TestSecretNeverShows(t *testing.T) {
	const canary = "canary-5f2c"
	secret := bridge.NewSecret(canary)
	type nested struct {
		hidden bridge.Secret
		Shown  bridge.Secret
	}
	values := map[string]any{"plain": secret, "pointer": &secret, "nested": nested{secret, secret},
		"nested pointer": &nested{secret, secret}, "slice": []bridge.Secret{secret}, "map": map[string]bridge.Secret{"a": secret},
		"disclosed": secret.Disclose(), "error": fmt.Errorf("failed: %v", secret)}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			out := fmt.Sprintf(verb, v)
			if strings.Contains(out, canary) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", canary)) {
				t.Errorf("%s with %s shows the secret: %s", name, verb, out)
			}
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		if name != "disclosed" && strings.Contains(log.String(), canary) {
			t.Errorf("%s: the log shows the secret: %s", name, log.String())
		}
	}
	raw, err := json.Marshal(nested{secret, secret})
	if err != nil || strings.Contains(string(raw), canary) {
		t.Errorf("JSON: %s %v", raw, err)
	}
	raw, err = json.Marshal(secret.Disclose())
	if err != nil || string(raw) != `"`+canary+`"` {
		t.Errorf("a disclosed secret encodes as %s (%v)", raw, err)
	}
}

package bridge

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// signRaw signs a header and claims exactly as given.
func signRaw(t *testing.T, key SigningKey, header, claims string) Secret {
	t.Helper()
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	signature, err := key.method.Sign(text, key.key)
	if err != nil {
		t.Fatal(err)
	}
	return NewSecret(text + "." + b64.EncodeToString(signature))
}

// misspelt returns ways to write an object that two readers understand differently. The claim occurs once in its right spelling.
func misspelt(good, name, other string) map[string]string {
	inner := strings.TrimSuffix(strings.TrimPrefix(good, "{"), "}")
	return map[string]string{
		"twice, bad first":       `{"` + name + `":` + other + `,` + inner + `}`,
		"twice, bad last":        `{` + inner + `,"` + name + `":` + other + `}`,
		"twice, escaped":         `{` + inner + `,"\u00` + hex(name[0]) + name[1:] + `":` + other + `}`,
		"other case beside it":   `{` + inner + `,"` + strings.ToUpper(name) + `":` + other + `}`,
		"other case in place":    strings.Replace(good, `"`+name+`"`, `"`+strings.ToUpper(name)+`"`, 1),
		"title case in place":    strings.Replace(good, `"`+name+`"`, `"`+strings.ToUpper(name[:1])+name[1:]+`"`, 1),
		"long s in its name":     `{` + inner + `,"` + strings.Replace(name, "s", "\u017f", 1) + `\u0000":` + other + `}`,
		"NUL after the name":     `{` + inner + `,"` + name + `\u0000x":` + other + `}`,
		"space around the name":  `{` + inner + `,"\u00a0` + name + ` ":` + other + `}`,
		"unseen in the name":     `{` + inner + `,"` + name[:1] + `\u200b` + name[1:] + `":` + other + `}`,
		"something after it":     good + `{}`,
		"NUL after it":           good + "\x00",
		"deep nesting":           `{` + inner + `,"x":` + strings.Repeat("[", 11_000) + strings.Repeat("]", 11_000) + `}`,
		"something in front":     `{}` + good,
		"not UTF-8":              `{` + inner + `,"x":"\xff"}`,
		"deep duplicate":         `{` + inner + `,"x":{"y":[{"z":1,"z":2}]}}`,
		"array":                  `[` + good + `]`,
		"byte-order mark":        "\ufeff" + good,
		"null":                   `null`,
		"comma after the last":   `{` + inner + `,}`,
		"lone surrogate in name": `{` + inner + `,"\ud800":1}`,
	}
}

func hex(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

func compact(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestTokensReadStrictly checks, for every kind of token, that ambiguous headers and claims are refused.
func TestTokensReadStrictly(t *testing.T) {
	now, server := time.Unix(1_790_000_000, 0), ServerURL("https://ace.acme.test")
	key := NewKey(KindSK, uuid.New())
	signing := key.signingKey()
	access := AccessClaims{Times: NewTimes(now, time.Minute), Subject: "bob", Scope: "a:b"}.ForServer(server)
	kinds := map[string]struct {
		typ, claims, name, other string
		verify                   func(Secret) error
	}{
		"access": {TypeAccess, compact(t, access), "aud", `"https://evil.test"`, func(s Secret) error {
			_, err := VerifyAccess(s, key.PublicKey(), []ServerURL{server}, now)
			return err
		}},
		"revocation": {TypeRevocation, compact(t, revocationClaims{IssuedAt: now.Unix(), Reason: "r", Subject: "bob"}), "sub", `"eve"`,
			func(s Secret) error {
				_, err := VerifyRevocation(s, key.PublicKey())
				return err
			}},
		"withdrawal": {TypeWithdrawal, compact(t, withdrawalClaims{IssuedAt: now.Unix(), Until: map[string]int64{"bob": now.Unix()}}), "until",
			`{"eve":1}`, func(s Secret) error {
				_, err := VerifyWithdrawal(s, key.PublicKey(), now)
				return err
			}},
	}
	for kind, k := range kinds {
		head := compact(t, map[string]string{"alg": AlgEdDSA, "kid": key.ID.String(), "typ": k.typ})
		if err := k.verify(signRaw(t, signing, head, k.claims)); err != nil {
			t.Fatalf("%s: the good one: %v", kind, err)
		}
		more := strings.TrimSuffix(k.claims, "}") + `,"unheard_of":{"AUD":1}}`
		if err := k.verify(signRaw(t, signing, head, more)); err != nil {
			t.Errorf("%s: a claim that nobody knows: %v", kind, err)
		}
		for how, claims := range misspelt(k.claims, k.name, k.other) {
			if k.verify(signRaw(t, signing, head, claims)) == nil {
				t.Errorf("%s: claims with %s pass: %s", kind, how, claims)
			}
		}
		for _, field := range []string{"typ", "alg", "kid"} {
			for how, header := range misspelt(head, field, `"x"`) {
				if k.verify(signRaw(t, signing, header, k.claims)) == nil {
					t.Errorf("%s: a header with %s of %s passes: %s", kind, how, field, header)
				}
			}
		}
		for _, forbidden := range []string{"crit", "CRIT", "Jku", "JWK", "x5U"} {
			header := strings.TrimSuffix(head, "}") + `,"` + forbidden + `":null}`
			if k.verify(signRaw(t, signing, header, k.claims)) == nil {
				t.Errorf("%s: a header with %s passes", kind, forbidden)
			}
		}
	}
}

func FuzzDecodeStrict(f *testing.F) {
	f.Add([]byte(`{"iat":1,"exp":2,"sub":"x","aud":"y"}`))
	f.Add([]byte(`{"AUD":1}`))
	f.Add([]byte(`[{"iat":1}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var c AccessClaims
		if DecodeStrict(raw, &c) != nil {
			return
		}
		again, careless := compact(t, c), AccessClaims{}
		if err := json.Unmarshal(raw, &careless); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if compact(t, careless) != again {
			t.Errorf("%q is %s to one reader and %s to another", raw, again, compact(t, careless))
		}
	})
}

// TestNumbersReadStrictly checks that a time must be a whole number, however JSON spells others.
func TestNumbersReadStrictly(t *testing.T) {
	type claims struct {
		ExpiresAt int64                       `json:"exp"`
		Keys      map[string]*struct{ A int } `json:"keys"`
		Lists     [][]struct{ A int }         `json:"lists"`
	}
	for raw, ok := range map[string]bool{
		`{"exp":1790000000}`: true, `{"exp":-1}`: true, `{"exp":1e3}`: false, `{"exp":1.0}`: false, `{"exp":1.5}`: false, `{"exp":1e400}`: false, `{"exp":9223372036854775808}`: false,
		`{"exp":"1790000000"}`: false, `{"exp":01}`: false, `{"exp":+1}`: false, `{"exp":0x10}`: false, `{"exp":NaN}`: false, `{"exp":[1]}`: false, `{"exp":true}`: false,
		`{"keys":{"bob":{"A":1}}}`: true, `{"keys":{"bob":{"a":1}}}`: false, `{"keys":{"bob":{"A":1,"\u0041":2}}}`: false, `{"keys":{"bob":{},"bob":{}}}`: false, `{"keys":{"bob":{},"Bob":{}}}`: true,
		`{"lists":[[{"A":1}],[]]}`: true, `{"lists":[[{"a":1}]]}`: false,
	} {
		var c claims
		if err := DecodeStrict([]byte(raw), &c); (err == nil) != ok {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// TestTokensHaveOneSpelling checks that no other bytes are accepted as the same token.
func TestTokensHaveOneSpelling(t *testing.T) {
	now, server := time.Unix(1_790_000_000, 0), ServerURL("https://ace.acme.test")
	key := NewKey(KindSK, uuid.New())
	token, err := key.SignAccess(AccessClaims{Times: NewTimes(now, time.Minute), Subject: "bob", Scope: "a:b"}.ForServer(server))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(s string) error {
		_, err := VerifyAccess(NewSecret(s), key.PublicKey(), []ServerURL{server}, now)
		return err
	}
	text := token.Reveal()
	if err := verify(text); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(text, ".")
	var others []string
	for i := range parts {
		for _, change := range []func(string) string{
			func(s string) string { return s + "=" }, func(s string) string { return s + "\n" }, func(s string) string { return "\r\n" + s }, func(s string) string { return s[:2] + "\n" + s[2:] },
			func(s string) string { return s + " " }, func(s string) string { return s + "AA" }, func(s string) string { return s + "!" },
			func(s string) string { // a last digit whose unused bits are set
				const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
				if at := strings.IndexByte(digits, s[len(s)-1]); len(s)%4 != 0 {
					return s[:len(s)-1] + digits[at+1:at+2]
				}
				return s + "."
			},
		} {
			changed := append([]string{}, parts...)
			changed[i] = change(parts[i])
			others = append(others, strings.Join(changed, "."))
		}
	}
	for _, other := range append(others, text+".", "."+text, text+"."+parts[1], text+"\x00", strings.ToUpper(text)) {
		if verify(other) == nil {
			t.Errorf("%q passes as well", other)
		}
	}
}

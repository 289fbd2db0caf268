package connect

import (
	"context"
	"net/http"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// JoinConfig is what a join needs. All fields but Prove, Name, Client and Note are required.
type JoinConfig struct {
	// Token is the join token: it names the cloud, its public key and the organization.
	Token bridge.JoinToken
	// ServerID identifies the server at the cloud, now and when it joins again.
	ServerID string
	// ServerURL is one of the server's own URLs, or [bridge.LinkURL] of its ID.
	ServerURL bridge.ServerURL
	// Server carries the exchange to the server itself, usually within the process. Its answer must name the key of a link.
	Server http.RoundTripper
	// Pin makes the server trust a value of ACE_CLOUD_PUBLIC_KEY, before it is asked for a key.
	Pin func(ctx context.Context, publicKey string) error
	// Prove signs a proof with each key of a link that the server has for this cloud; nil: the server has never joined.
	Prove func(ctx context.Context, proof bridge.JoinProof) ([]string, error)
	// Name is the connection's name; empty lets the cloud choose.
	Name string
	// Client configures the calls to the cloud.
	Client api.ClientConfig
	// Note receives progress messages for a person; nil drops them.
	Note func(line string)
}

// Join has a server join the organization that a join token names, and returns what it has joined.
//
// It changes nothing at the server before the pin, and nothing at the cloud but the count of the token's uses before it
// completes. A join that is interrupted leaves a key that dies unused; a rerun with the same token completes it. A server that the
// cloud knows already proves that it is the same one. Errors are [bridge.Error]s that name the side at fault.
func Join(ctx context.Context, cfg JoinConfig) (api.Joined, error) {
	note := cfg.Note
	if note == nil {
		note = func(string) {}
	}
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: cfg.Token.PublicKey()})
	if err != nil {
		return api.Joined{}, err
	}
	if err := cfg.Pin(ctx, cfg.Token.PublicKey()); err != nil {
		return api.Joined{}, err
	}
	proof := bridge.JoinProof{Cloud: cfg.Token.Cloud(), Token: cfg.Token.Hash(), Server: cfg.ServerID}
	proofs, err := cfg.prove(ctx, proof)
	if err != nil {
		return api.Joined{}, err
	}
	cloud := apiclient.NewCloud(cfg.Token.Cloud(), bridge.Secret{}, cfg.Client)
	note("asking " + string(cfg.Token.Cloud()))
	answer, err := cloud.Join(ctx, cfg.Token, api.JoinRequest{ServerID: cfg.ServerID, ServerURL: string(cfg.ServerURL), KeyIDs: trust.KeyIDs(),
		Proofs: proofs})
	if err != nil {
		return api.Joined{}, joinRefused(cfg.Token, err)
	}
	if answer.Org != cfg.Token.Org() {
		return api.Joined{}, bridge.E(bridge.Forbidden, bridge.CodeJoinOther, "the cloud %s answers for the organization %q, and the join token is of %s",
			cfg.Token.Cloud(), bridge.Clip(answer.Org, 64), cfg.Token.Org())
	}
	note("issuing a key")
	key, err := exchangeHere(ctx, cfg, answer)
	if err != nil {
		return api.Joined{}, err
	}
	proof.LinkKey, proof.KeyID = key.LinkKey, key.KeyID
	if proofs, err = cfg.prove(ctx, proof); err != nil {
		return api.Joined{}, err
	}
	note("registering the server")
	connection, err := cloud.CompleteJoin(ctx, cfg.Token, api.JoinComplete{ServerID: cfg.ServerID, ServerURL: string(cfg.ServerURL), Name: cfg.Name,
		SealedKey: key.SealedKey, KeyID: key.KeyID, LinkKey: key.LinkKey, Proofs: proofs})
	if err != nil {
		return api.Joined{}, joinRefused(cfg.Token, err)
	}
	return api.Joined{Org: answer.Org, Organization: answer.Organization, Cloud: cfg.Token.Cloud(), Connection: connection.ID,
		Name: connection.Name, ServerURL: cfg.ServerURL, KeyID: key.KeyID}, nil
}

func (cfg JoinConfig) prove(ctx context.Context, proof bridge.JoinProof) ([]string, error) {
	if cfg.Prove == nil {
		return nil, nil
	}
	return cfg.Prove(ctx, proof)
}

// exchangeHere has the server itself issue a sealed key and the key of a link.
func exchangeHere(ctx context.Context, cfg JoinConfig, answer api.JoinAnswer) (api.ExchangeAnswer, error) {
	here := apiclient.NewServer(cfg.ServerURL, bridge.Secret{}, api.ClientConfig{Transport: cfg.Server, UserAgent: cfg.Client.UserAgent})
	key, err := here.Exchange(ctx, answer.ConnectToken.Secret, api.ExchangeRequest{Name: cfg.Name})
	if err != nil {
		e := *bridge.AsError(err)
		switch e.Code {
		case bridge.CodeConnectExpired, bridge.CodeConnectClock:
			e.Hint = "set this machine's clock right, and join again"
		}
		e.Detail = "this server does not take its cloud's token: " + e.Detail
		return api.ExchangeAnswer{}, &e
	}
	if key.SealedKey == "" {
		return api.ExchangeAnswer{}, bridge.E(bridge.Invalid, bridge.CodeKeyNotSealed, "the token of the cloud %s names no key to seal for", cfg.Token.Cloud())
	}
	if key.LinkKey == "" {
		return api.ExchangeAnswer{}, bridge.E(bridge.Internal, bridge.CodeInternal, "this server has made no key for its link")
	}
	return key, nil
}

// joinRefused says that the cloud, and not this server, has refused.
func joinRefused(token bridge.JoinToken, err error) error {
	e := *bridge.AsError(err)
	if e.Kind == bridge.Unreachable { // it names the cloud already
		e.Hint = "check that this machine reaches the cloud (HTTPS_PROXY is respected), and join again with the same token"
		return &e
	}
	e.Detail = "the cloud " + string(token.Cloud()) + " refuses the join: " + e.Detail
	if e.Hint == "" && e.Kind == bridge.Unauthenticated {
		e.Hint = "make a new one: ace org join-token create"
	}
	return &e
}

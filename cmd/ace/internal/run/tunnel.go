package run

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/server"
	"github.com/acebridge/ace/server/link"
)

const maxGiveUp = 7 * 24 * time.Hour

// tunnel checks the settings of links. It collects mistakes.
func (e *serverEnv) tunnel(s settings, wrong *[]string) server.Tunnel {
	t := server.Tunnel{Required: s.noPort, Token: e.JoinToken}
	if e.PublicURL != "" && len(s.publicURLs) > 0 {
		t.URL = s.publicURLs[0]
	}
	switch e.Tunnel {
	case "":
	case "on":
		t.Mode = link.On
	case "off":
		t.Mode = link.Off
	default:
		*wrong = append(*wrong, "ACE_TUNNEL: it is not on or off")
	}
	if t.Mode == link.Off && s.noPort {
		*wrong = append(*wrong, "ACE_ADDR=none with ACE_TUNNEL=off: nobody could reach the server")
	}
	if t.Mode == link.Off && !e.JoinToken.IsZero() {
		*wrong = append(*wrong, "ACE_JOIN_TOKEN with ACE_TUNNEL=off: a server that joins opens links")
	}
	var err error
	if t.Allow, err = link.ParseAllow(e.TunnelAllow); err != nil {
		*wrong = append(*wrong, "ACE_TUNNEL_ALLOW: "+err.Error())
	}
	if e.TunnelGiveUp != "" {
		if t.GiveUp, err = time.ParseDuration(e.TunnelGiveUp); err != nil || t.GiveUp < 10*time.Second || t.GiveUp > maxGiveUp {
			*wrong = append(*wrong, fmt.Sprintf("ACE_TUNNEL_GIVE_UP: it is not a duration such as 15m, of 10s to %s", maxGiveUp))
		}
	}
	if e.TunnelLinks != "" {
		if t.Links, err = strconv.Atoi(e.TunnelLinks); err != nil || t.Links < 1 || t.Links > tunnel.MaxLinks {
			*wrong = append(*wrong, fmt.Sprintf("ACE_TUNNEL_LINKS: it is not a number from 1 to %d", tunnel.MaxLinks))
		}
	}
	switch t.Replicas = tunnel.Replicas(e.TunnelReplicas); t.Replicas {
	case "", tunnel.ReplicasShare, tunnel.ReplicasRefuse:
	default:
		*wrong = append(*wrong, fmt.Sprintf("ACE_TUNNEL_REPLICAS: it is not %s or %s", tunnel.ReplicasShare, tunnel.ReplicasRefuse))
	}
	if !e.JoinToken.IsZero() {
		if _, err := bridge.ParseJoinToken(e.JoinToken); err != nil {
			*wrong = append(*wrong, "ACE_JOIN_TOKEN: "+withHint(err))
		}
	}
	return t
}

// upstreamHealth reads ACE_UPSTREAM_HEALTH: a path at the app, or a URL of the app's own origin.
func upstreamHealth(value string, upstream *url.URL, wrong *[]string) *url.URL {
	if value == "" {
		return nil
	}
	if upstream == nil {
		*wrong = append(*wrong, "ACE_UPSTREAM_HEALTH is set, and ACE_UPSTREAM_URL is not")
		return nil
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.User != nil || u.Fragment != "" || u.Host == "" && !strings.HasPrefix(value, "/") || strings.HasPrefix(value, "//"),
		u.Host != "" && (u.Scheme != upstream.Scheme || u.Host != upstream.Host):
		*wrong = append(*wrong, "ACE_UPSTREAM_HEALTH: it must be a path such as /healthz, or a URL at the origin of ACE_UPSTREAM_URL")
		return nil
	case u.Host == "":
		u.Scheme, u.Host = upstream.Scheme, upstream.Host
	}
	return u
}

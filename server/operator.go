package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
)

const maxOperator = 64 << 10 // bytes of a body

// Operator returns the handler of the operator's API. It asks nobody who they are: only the server's own user may reach it.
func Operator(s *Server) http.Handler {
	o := operator{s}
	mux := http.NewServeMux()
	mux.Handle("GET "+api.PathOperator, o.answer(func(_ http.ResponseWriter, r *http.Request) (any, error) { return o.status(r.Context()), nil }))
	mux.Handle("POST "+api.PathOperatorIn, o.answer(o.join))
	mux.Handle("POST "+api.PathOperatorGo, o.answer(o.leave))
	return mux
}

// operator is who runs the server, at its socket.
type operator struct{ s *Server }

func (o operator) actor() audit.Actor { return audit.Actor{ID: "operator", Org: o.s.org()} }

func (o operator) answer(do func(http.ResponseWriter, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := do(w, r)
		if err != nil {
			o.s.log.Info("an operator's request failed", "path", r.URL.Path, "error", err)
			api.WriteProblem(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(v)
	})
}

func (o operator) join(w http.ResponseWriter, r *http.Request) (any, error) {
	raw, err := api.ReadBody(w, r, maxOperator)
	if err != nil {
		return nil, err
	}
	var in api.OperatorJoin
	if err := bridge.DecodeStrict(raw, &in); err != nil {
		return nil, err
	}
	if in.Name != "" && !bridge.PlainText(in.Name, api.MaxServerName) {
		return nil, bridge.E(bridge.Invalid, bridge.CodeNameMalformed, "the name is not at most %d bytes of plain text", api.MaxServerName)
	}
	return o.s.links.Join(r.Context(), o.actor(), in.Token.Secret, in.Name)
}

func (o operator) leave(_ http.ResponseWriter, r *http.Request) (any, error) {
	return o.s.links.Leave(r.Context(), o.actor(), r.URL.Query().Get("force") == "true")
}

// status returns how the server is.
func (o operator) status(ctx context.Context) api.ServerStatus {
	s := o.s
	st := api.ServerStatus{Version: s.cfg.Version, ServerID: s.links.ServerID(), PublicURLs: s.cfg.PublicURLs, Listening: s.cfg.Listening,
		StartedAt: s.began.UTC(), App: s.app.now(ctx), Links: s.links.Links(), Ready: true}
	if trusted := s.trust.now(); trusted.Configured() {
		st.Trust = &api.ServerTrust{Cloud: trusted.Issuer, Org: trusted.Org, Pinned: s.links.Pinned()}
	}
	if err := reached(ctx, s); err != nil {
		e := bridge.AsError(err)
		st.Ready, st.Code, st.Cause, st.Hint = false, e.Code, e.Detail, e.Hint
	}
	return st
}

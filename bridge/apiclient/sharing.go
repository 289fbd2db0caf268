package apiclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/acebridge/ace/bridge/api"
)

// SharingCalls are the calls about who uses a connection, and within which limits.
type SharingCalls struct{ *Client }

// Sharing says who uses a connection. It reads all pages, up to a bound that no organization reaches.
func (c SharingCalls) Sharing(ctx context.Context, id string) (api.Sharing, error) {
	var out api.Sharing
	query := url.Values{"limit": {"500"}}
	for range 1000 {
		var page api.Sharing
		if err := c.do(ctx, call{method: http.MethodGet, path: connectionPath(id, "/sharing"), query: query, out: &page}); err != nil {
			return out, err
		}
		page.Members = append(out.Members, page.Members...)
		if out = page; out.NextCursor == "" {
			return out, nil
		}
		query.Set("cursor", out.NextCursor)
	}
	return out, nil
}

func exceptionPath(id, member string) string {
	return connectionPath(id, "/members/"+url.PathEscape(member))
}

// LimitMember limits what a member or an API key of the cloud may do over a connection, possibly to nothing.
func (c SharingCalls) LimitMember(ctx context.Context, id, member string, l api.MemberLimit) (api.SharingMember, error) {
	var out api.SharingMember
	err := c.do(ctx, call{method: http.MethodPut, path: exceptionPath(id, member), body: l, out: &out})
	return out, err
}

// UnlimitMember removes a member's limit.
func (c SharingCalls) UnlimitMember(ctx context.Context, id, member string) (api.SharingMember, error) {
	var out api.SharingMember
	err := c.do(ctx, call{method: http.MethodDelete, path: exceptionPath(id, member), out: &out})
	return out, err
}

// ReadPresets has the cloud read the presets of the connection's server again.
func (c SharingCalls) ReadPresets(ctx context.Context, id string) (api.Sharing, error) {
	var out api.Sharing
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/sharing/presets"), out: &out})
	return out, err
}

// EndsOfLimit says what limiting a member or an API key would end.
func (c SharingCalls) EndsOfLimit(ctx context.Context, id, member string, l api.MemberLimit) (api.Ends, error) {
	query := url.Values{"access": {l.Access}}
	addCeiling(query, l.Ceiling)
	return c.ends(ctx, exceptionPath(id, member)+"/ends", query)
}

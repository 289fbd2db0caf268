package who

import (
	"testing"

	"github.com/acebridge/ace/cloud/accounts"
)

// TestQuotasAreGivenBack checks that a finished call leaves nothing taken.
func TestQuotasAreGivenBack(t *testing.T) {
	quotas := NewQuotas(RelayLimits{Total: 8})
	var frees []func()
	for _, user := range []string{"a", "a", "b"} {
		free, err := quotas.Take(accounts.Principal{OrgID: "o" + user, UserID: user}, "connection")
		if err != nil {
			t.Fatal(err)
		}
		frees = append(frees, free)
	}
	if quotas.total != 3 || quotas.taken["connection"] != 3 {
		t.Errorf("%d calls are under way: %v", quotas.total, quotas.taken)
	}
	for _, free := range frees {
		free()
	}
	if quotas.total != 0 || len(quotas.taken) != 0 {
		t.Errorf("left of what was given back: %d, %v", quotas.total, quotas.taken)
	}
}

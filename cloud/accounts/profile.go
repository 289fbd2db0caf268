package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// Account is a person's own account, as they see it.
type Account struct {
	Name          string
	Country       string // ISO 3166-1 alpha-2, or empty
	Currency      string // ISO 4217, or empty
	HasPassword   bool   // false: they sign in through their organization
	TwoFactor     bool
	RecoveryCodes int // that are left
}

// Account reads the account of a person.
func (st *Store) Account(ctx context.Context, userID string) (Account, error) {
	var a Account
	var password string
	err := st.db.QueryRowContext(ctx, "SELECT name, country, currency, password FROM users WHERE id = $1", userID).
		Scan(&a.Name, &a.Country, &a.Currency, &password)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, bridge.E(bridge.NotFound, bridge.CodeUserUnknown, "there is no such user")
	}
	if err != nil {
		return Account{}, fmt.Errorf("read an account: %w", err)
	}
	a.HasPassword = password != ""
	factors, err := st.above.SecondFactors(ctx, st.db, []string{userID})
	a.TwoFactor, a.RecoveryCodes = factors[userID].On, factors[userID].RecoveryCodes
	return a, err
}

// canonicalCountry returns an ISO 3166-1 alpha-2 code in capitals.
func canonicalCountry(s string) (string, error) {
	region, err := language.ParseRegion(s)
	if s == "" {
		return "", nil
	}
	if err != nil || len(s) != 2 || !region.IsCountry() {
		return "", bridge.E(bridge.Invalid, bridge.CodeCountryUnknown,
			"The country is not one of ISO 3166-1.").WithHint("Two letters, such as DE.")
	}
	return region.Canonicalize().String(), nil
}

// canonicalCurrency returns an ISO 4217 code in capitals.
func canonicalCurrency(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	unit, err := currency.ParseISO(s)
	if err != nil || len(s) != 3 {
		return "", bridge.E(bridge.Invalid, bridge.CodeCurrencyUnknown,
			"The currency is not one of ISO 4217.").WithHint("Three letters, such as EUR.")
	}
	return unit.String(), nil
}

// PatchAccount changes the caller's name, country and currency. A change made at the same time is refused as a conflict.
func (st *Store) PatchAccount(ctx context.Context, caller Caller, patch api.ProfilePatch) (Account, error) {
	if err := caller.RequireOwnSession(); err != nil {
		return Account{}, err
	}
	before, err := st.Account(ctx, caller.UserID)
	if err != nil {
		return Account{}, err
	}
	a := before
	if patch.Name != nil {
		var plain bool
		if a.Name, plain = bridge.PlainName(*patch.Name, schema.MaxName); !plain {
			return Account{}, bridge.E(bridge.Invalid, bridge.CodeNameMalformed, "A name is 1 to 100 bytes of plain text.")
		}
	}
	if patch.Country != nil {
		if a.Country, err = canonicalCountry(*patch.Country); err != nil {
			return Account{}, err
		}
	}
	if patch.Currency != nil {
		if a.Currency, err = canonicalCurrency(*patch.Currency); err != nil {
			return Account{}, err
		}
	}
	if a == before {
		return a, nil
	}
	err = st.db.Change(ctx, func(tx *sql.Tx) error {
		changed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE users SET name = $1, country = $2, currency = $3
			WHERE id = $4 AND name = $5 AND country = $6 AND currency = $7`,
			a.Name, a.Country, a.Currency, caller.UserID, before.Name, before.Country, before.Currency))
		if err != nil {
			return fmt.Errorf("change a profile: %w", err)
		}
		if !changed {
			return bridge.E(bridge.Conflict, bridge.CodeChangedMeanwhile, "the profile was changed at the same time").WithHint("try again")
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: "user.change", Target: "user:" + caller.Email})
	})
	return a, err
}

package statements

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/acebridge/ace/bridge"
)

// withdrawals maps a subject to a time (unix seconds): its access tokens without a number that were issued until then are dead.
type withdrawals map[string]int64

// takenNumbers says which of a key's numbered access tokens are dead, by subject.
type takenNumbers map[string]takenNumber

type takenNumber struct {
	Number int64 `json:"n,omitempty"` // those with a lower number
	Clock  int64 `json:"c,omitempty"` // those issued until then, because of statements without a number
	Kept   int64 `json:"k"`           // when the last statement arrived
}

// Taken is everything that withdrawals have taken from the access tokens of a key.
type Taken struct {
	until   withdrawals
	numbers takenNumbers
	Highest int64 // number of a withdrawal so far
}

// Of returns what was taken from a subject.
func (t Taken) Of(subject string) bridge.Taken {
	m := t.numbers[subject]
	return bridge.Taken{Until: t.until[subject], Number: m.Number, Clock: m.Clock}
}

const (
	maxWithdrawn = 500
	// withdrawnKept is how long a withdrawal still concerns tokens that may be valid.
	withdrawnKept = bridge.MaxAccessTokenLife + bridge.ClockSkew
)

// ParseTaken parses the stored form.
func ParseTaken(until, numbers string, highest int64) (Taken, error) {
	t := Taken{Highest: highest}
	if until != "" && json.Unmarshal([]byte(until), &t.until) != nil {
		return Taken{}, errors.New("its withdrawals are damaged")
	}
	if numbers != "" && json.Unmarshal([]byte(numbers), &t.numbers) != nil {
		return Taken{}, errors.New("the numbers of its withdrawals are damaged")
	}
	return t, nil
}

// Columns returns the stored form; Highest is stored as it is.
func (t Taken) Columns() (until, numbers string, err error) {
	if until, err = jsonText(t.until); err != nil {
		return "", "", err
	}
	numbers, err = jsonText(t.numbers)
	return until, numbers, err
}

// Empty reports whether nothing was ever taken.
func (t Taken) Empty() bool { return len(t.until) == 0 && len(t.numbers) == 0 && t.Highest == 0 }

// UntilOf maps each member to a time: tokens without a number that were issued until then are dead.
func (t Taken) UntilOf() map[string]int64 { return t.until }

// NumbersOf says which numbered access tokens are dead, by member.
//
// These are tokens with a number below numbers, and tokens issued until clocks, because of statements without a number.
func (t Taken) NumbersOf() (numbers, clocks map[string]int64) {
	if len(t.numbers) == 0 {
		return nil, nil
	}
	numbers, clocks = map[string]int64{}, map[string]int64{}
	for subject, m := range t.numbers {
		if m.Number > 0 {
			numbers[subject] = m.Number
		}
		if m.Clock > 0 {
			clocks[subject] = m.Clock
		}
	}
	return numbers, clocks
}

// jsonText returns the stored form of a map; an empty map is empty text.
func jsonText[T any](m map[string]T) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	text, err := json.Marshal(m)
	return string(text), err
}

// With returns what is taken after another withdrawal, without what no longer concerns any token.
func (t Taken) With(w bridge.Withdrawal, now time.Time) Taken {
	oldest := now.Add(-withdrawnKept).Unix()
	out := Taken{until: withdrawals{}, numbers: takenNumbers{}, Highest: max(t.Highest, w.Number)}
	for _, source := range []map[string]int64{t.until, w.Until} {
		for subject, at := range source {
			if at > oldest && at > out.until[subject] && at > out.until[bridge.Everybody] {
				out.until[subject] = at
			}
		}
	}
	for subject, m := range t.numbers {
		if m.Kept > oldest {
			out.numbers[subject] = m
		}
	}
	for subject, at := range w.Until {
		switch m := out.numbers[subject]; {
		case w.Number > m.Number:
			out.numbers[subject] = takenNumber{Number: w.Number, Clock: m.Clock, Kept: max(m.Kept, now.Unix())}
		case w.Number == 0 && at > oldest && at > m.Clock:
			out.numbers[subject] = takenNumber{Number: m.Number, Clock: at, Kept: max(m.Kept, at)}
		}
	}
	if len(out.until) > maxWithdrawn {
		out.until = withdrawals{bridge.Everybody: slices.Max(slices.Collect(maps.Values(out.until)))}
	}
	if len(out.numbers) > maxWithdrawn {
		var all takenNumber
		for _, m := range out.numbers {
			all = takenNumber{max(all.Number, m.Number), max(all.Clock, m.Clock), max(all.Kept, m.Kept)}
		}
		out.numbers = takenNumbers{bridge.Everybody: all}
	}
	return out
}

// Knows reports whether a numbered withdrawal would change nothing.
func (t Taken) Knows(w bridge.Withdrawal) bool {
	for subject := range w.Until {
		if t.numbers[subject].Number < w.Number {
			return false
		}
	}
	return w.Number > 0
}

// Equal reports whether both took the same.
func (t Taken) Equal(o Taken) bool {
	return t.Highest == o.Highest && maps.Equal(t.until, o.until) && maps.Equal(t.numbers, o.numbers)
}

package statements

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/acebridge/ace/bridge"
)

// withdrawals are until when (unix seconds) the access tokens of a key without a number that were issued to a member are
// dead, by subject.
type withdrawals map[string]int64

// takenNumbers are which access tokens of a key with a number are dead, by subject.
type takenNumbers map[string]takenNumber

type takenNumber struct {
	Number int64 `json:"n,omitempty"` // those with a lower one
	Clock  int64 `json:"c,omitempty"` // those issued until then, by statements without a number
	Kept   int64 `json:"k"`           // when the last statement came
}

// Taken is all that withdrawals took from the access tokens of a key.
type Taken struct {
	until   withdrawals
	numbers takenNumbers
	Highest int64 // number of a statement
}

// Of is what was taken from a subject.
func (t Taken) Of(subject string) bridge.Taken {
	m := t.numbers[subject]
	return bridge.Taken{Until: t.until[subject], Number: m.Number, Clock: m.Clock}
}

const (
	maxWithdrawn = 500
	// withdrawnKept is how long after its time a withdrawal concerns tokens that may still be valid.
	withdrawnKept = bridge.MaxAccessTokenLife + bridge.ClockSkew
)

// ParseTaken reads what is taken as it is stored.
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

// Columns are what is taken as it is stored, besides the highest number.
func (t Taken) Columns() (until, numbers string, err error) {
	if until, err = jsonText(t.until); err != nil {
		return "", "", err
	}
	numbers, err = jsonText(t.numbers)
	return until, numbers, err
}

// Empty reports whether nothing was ever taken.
func (t Taken) Empty() bool { return len(t.until) == 0 && len(t.numbers) == 0 && t.Highest == 0 }

// UntilOf is until when the access tokens without a number that were issued to each member are dead.
func (t Taken) UntilOf() map[string]int64 { return t.until }

// NumbersOf is which access tokens with a number are dead, by member: those with a lower number, and those issued until a time
// by statements without one.
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

// jsonText is a map as it is stored; an empty one is the empty text.
func jsonText[T any](m map[string]T) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	text, err := json.Marshal(m)
	return string(text), err
}

// With is what is taken after one more withdrawal, less what concerns no token any more.
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

// Knows reports whether a withdrawal with a number changes nothing.
func (t Taken) Knows(w bridge.Withdrawal) bool {
	for subject := range w.Until {
		if t.numbers[subject].Number < w.Number {
			return false
		}
	}
	return w.Number > 0
}

// Equal reports whether the same was taken.
func (t Taken) Equal(o Taken) bool {
	return t.Highest == o.Highest && maps.Equal(t.until, o.until) && maps.Equal(t.numbers, o.numbers)
}

package bridge

import (
	"iter"
	"strconv"
	"strings"
)

// Code identifies one way to fail. Programs compare codes, so they never change; docs/errors.md lists them.
type Code string

// meaning is what a code tells programs and people.
type meaning struct {
	code  Code
	kinds []Kind // usual one first; most codes have one
	retry bool
	means string
}

// Values of meaning.retry: whether the same request may succeed later without anyone changing anything.
const (
	final = false
	again = true
)

// PassedOn stands for whichever kind another program's answer had; the error keeps it.
const PassedOn Kind = "passed_on"

// subjects groups all codes, in the order of docs/errors.md.
var subjects = []struct {
	title string
	codes []meaning
}{
	{"Requests", requestCodes}, {"Keys and tokens", keysCodes}, {"Connecting a server", connectCodes},
	{"Rules of a catalogue", rulesCodes}, {"People and organizations", accountsCodes}, {"Connections", connectionsCodes},
	{"Operating", operateCodes}, {"Links", linkCodes}, {"The doctor", doctorCodes}, {"The command line", cliCodes}, {"OAuth", oauthCodes},
}

var meanings = func() map[Code]meaning {
	all := map[Code]meaning{}
	for _, subject := range subjects {
		for _, m := range subject.codes {
			all[m.code] = m
		}
	}
	return all
}()

// Subjects iterates over all codes by subject, in the order of docs/errors.md.
func Subjects() iter.Seq2[string, []Code] {
	return func(yield func(string, []Code) bool) {
		for _, subject := range subjects {
			var all []Code
			for _, m := range subject.codes {
				all = append(all, m.code)
			}
			if !yield(subject.title, all) {
				return
			}
		}
	}
}

// Kinds returns the kinds of failure that come with the code, the usual one first.
//
// A code of another program has none.
func (c Code) Kinds() []Kind { return meanings[c].kinds }

// Status returns the code's usual HTTP status; 0 for a code of another program.
func (c Code) Status() int {
	if kinds := c.Kinds(); len(kinds) > 0 {
		return kinds[0].Status()
	}
	return 0
}

// Retry reports whether the same request may succeed later without anyone changing anything.
func (c Code) Retry() bool { return meanings[c].retry }

// Means returns one sentence that says what happened.
func (c Code) Means() string { return meanings[c].means }

const statusPrefix = "http_"

// CodeOfStatus is the code of a response that has none of its own, such as http_502.
func CodeOfStatus(status int) Code { return Code(statusPrefix + strconv.Itoa(status)) }

// OfStatus reports whether the code is only an HTTP status; see [CodeOfStatus].
func (c Code) OfStatus() bool { return strings.HasPrefix(string(c), statusPrefix) }

package bridge

import (
	"iter"
	"strconv"
	"strings"
)

// Code names one way to fail. Programs compare it, so it never changes; docs/errors.md lists all of them.
type Code string

// meaning is what a code tells a program and a person.
type meaning struct {
	code  Code
	kinds []Kind // the usual one first; most codes have one
	retry bool
	means string
}

// Whether the same request, made again, may succeed without anybody changing anything.
const (
	final = false
	again = true
)

// PassedOn stands for the kind of another program's answer, which the error keeps.
const PassedOn Kind = "passed_on"

// subjects are all codes, in the order of docs/errors.md.
var subjects = []struct {
	title string
	codes []meaning
}{
	{"Requests", requestCodes}, {"Keys and tokens", keysCodes}, {"Connecting a server", connectCodes},
	{"Rules of a catalogue", rulesCodes}, {"People and organizations", accountsCodes}, {"Connections", connectionsCodes},
	{"Operating", operateCodes}, {"The command line", cliCodes}, {"OAuth", oauthCodes},
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

// Subjects are all codes by subject, in the order of docs/errors.md.
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

// Kinds are the kinds of failure that the code comes with, the usual one first. A code of another program has none.
func (c Code) Kinds() []Kind { return meanings[c].kinds }

// Status is the usual HTTP status of the code; 0 for a code of another program.
func (c Code) Status() int {
	if kinds := c.Kinds(); len(kinds) > 0 {
		return kinds[0].Status()
	}
	return 0
}

// Retry says whether the same request may succeed later without anybody changing anything.
func (c Code) Retry() bool { return meanings[c].retry }

// Means says in one sentence what has happened.
func (c Code) Means() string { return meanings[c].means }

const statusPrefix = "http_"

// CodeOfStatus is the code of an answer from a program that says no code of its own, such as http_502.
func CodeOfStatus(status int) Code { return Code(statusPrefix + strconv.Itoa(status)) }

// OfStatus says whether the code is only an HTTP status; see [CodeOfStatus].
func (c Code) OfStatus() bool { return strings.HasPrefix(string(c), statusPrefix) }

// Package benchtest compares two HTTP servers in one run: ours, and one that does less, as the measure.
package benchtest

import (
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

const connections = 16

// Side is one of the two that are compared: where requests go, and the headers that they are sent with by turns.
type Side struct {
	URL     string
	Headers []http.Header
	// Processes are those whose CPU time counts; see [Start]. Empty: none is measured.
	Processes []*Process
}

func (s Side) cpu(b *testing.B) (all time.Duration) {
	b.Helper()
	for _, p := range s.Processes {
		all += p.cpu(b)
	}
	return all
}

// Load is one round of requests, which are sent over connections that are kept, as fast as answers come.
type Load struct {
	Requests int
	// Method, and the body of a request where there is one, of so many bytes.
	Method string
	Body   int64
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// run sends a round and returns how long each request took.
func (l Load) run(b *testing.B, side Side) (took []time.Duration, all time.Duration) {
	b.Helper()
	client := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var mu sync.Mutex
	start := time.Now()
	workers := min(connections, l.Requests)
	for c := range workers {
		wg.Go(func() {
			mine := make([]time.Duration, 0, l.Requests/workers)
			for i := range l.Requests / workers {
				r, err := http.NewRequestWithContext(b.Context(), l.Method, side.URL, nil)
				if err != nil {
					b.Error(err)
					return
				}
				if l.Body > 0 {
					r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, l.Body)), l.Body
				}
				if len(side.Headers) > 0 {
					r.Header = side.Headers[(c*7919+i*104729)%len(side.Headers)].Clone()
				}
				sent := time.Now()
				resp, err := client.RoundTrip(r)
				if err != nil || resp.StatusCode >= http.StatusMultipleChoices {
					b.Errorf("%v %v", resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				mine = append(mine, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	wg.Wait()
	return took, time.Since(start)
}

// figures are what rounds against one address came to.
type figures struct {
	took   []time.Duration
	all    time.Duration
	allocs uint64
	cpu    time.Duration
}

func (f *figures) rate() float64 { return float64(len(f.took)) / f.all.Seconds() }

// perRequest is how often memory was allocated for a request, the client's part included.
func (f *figures) perRequest() float64 { return float64(f.allocs) / float64(len(f.took)) }

// cpuPerRequest is the CPU time of the side's processes for a request, in microseconds.
func (f *figures) cpuPerRequest() float64 { return f.cpu.Seconds() * 1e6 / float64(len(f.took)) }

func (f *figures) p99() float64 {
	slices.Sort(f.took)
	return f.took[len(f.took)*99/100].Seconds() * 1e6
}

// Compare takes turns between the measure and ours, and reports the ratios.
func Compare(b *testing.B, l Load, measure, ours Side) {
	b.Helper()
	var m, o figures
	round := func(f *figures, side Side) (all, cpu time.Duration) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		used := side.cpu(b)
		took, all := l.run(b, side)
		cpu = side.cpu(b) - used
		runtime.ReadMemStats(&after)
		f.took, f.all, f.allocs, f.cpu = append(f.took, took...), f.all+all, f.allocs+after.Mallocs-before.Mallocs, f.cpu+cpu
		return all, cpu
	}
	var ratios, cpuRatios []float64 // of each turn: what disturbs the machine for a moment does not move their median
	runtime.GC()
	for turn := 0; b.Loop(); turn++ {
		var theirs, own, theirCPU, ownCPU time.Duration
		if turn%2 == 0 {
			theirs, theirCPU = round(&m, measure)
			own, ownCPU = round(&o, ours)
		} else {
			own, ownCPU = round(&o, ours)
			theirs, theirCPU = round(&m, measure)
		}
		ratios = append(ratios, theirs.Seconds()/own.Seconds())
		cpuRatios = append(cpuRatios, theirCPU.Seconds()/max(ownCPU, 1).Seconds())
	}
	if len(ours.Processes) > 0 {
		slices.Sort(cpuRatios)
		b.ReportMetric(m.cpuPerRequest(), "measure-cpu-µs/req")
		b.ReportMetric(o.cpuPerRequest(), "cpu-µs/req")
		b.ReportMetric(cpuRatios[len(cpuRatios)/2], "cpu-ratio")
	}
	slices.Sort(ratios)
	b.ReportMetric(m.rate(), "measure-req/s")
	b.ReportMetric(o.rate(), "req/s")
	b.ReportMetric(o.rate()/m.rate(), "rate-ratio")
	b.ReportMetric(ratios[len(ratios)/2], "median-ratio")
	b.ReportMetric(m.perRequest(), "measure-allocs/req")
	b.ReportMetric(o.perRequest(), "allocs/req")
	b.ReportMetric(m.p99(), "measure-p99-µs")
	b.ReportMetric(o.p99(), "p99-µs")
	b.ReportMetric(o.p99()/m.p99(), "p99-ratio")
	b.ReportMetric(0, "ns/op")
}

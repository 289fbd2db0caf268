//go:build race

package relay_test

func init() { bulkBytes = 64 << 20 } // the race detector takes its time

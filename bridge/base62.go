package bridge

import "math/bits"

// base62Digits are the digits of base 62 in ASCII order. Numbers are written in fixed width, most significant digit first; in
// an API key 128 bits take 22 digits, 256 bits 43, and 32 bits 6.
const base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var base62Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(base62Digits) {
		t[base62Digits[i]] = byte(i)
	}
	return t
}()

// appendBase62 appends src, read as a big-endian number of at most 32 bytes, as exactly width digits.
func appendBase62(dst, src []byte, width int) []byte {
	var limbs [8]uint32
	for i, b := range src {
		shift := len(src) - 1 - i
		limbs[shift/4] |= uint32(b) << (8 * (shift % 4))
	}
	start := len(dst)
	dst = append(dst, make([]byte, width)...)
	for i := width - 1; i >= 0; i-- {
		var rem uint64
		for l := len(limbs) - 1; l >= 0; l-- {
			cur := rem<<32 | uint64(limbs[l])
			limbs[l], rem = uint32(cur/62), cur%62
		}
		dst[start+i] = base62Digits[rem]
	}
	return dst
}

// isBase62 reports whether every byte of s is a digit.
func isBase62(s string) bool {
	for i := range len(s) {
		if base62Values[s[i]] == 0xff {
			return false
		}
	}
	return true
}

// decodeBase62Into128 reads digits as a 128-bit number. ok is false for a stray byte or an overflow, so every number has
// exactly one spelling.
func decodeBase62Into128(s string) (hi, lo uint64, ok bool) {
	for i := range len(s) {
		v := base62Values[s[i]]
		if v == 0xff {
			return 0, 0, false
		}
		carry, low := bits.Mul64(lo, 62)
		over, high := bits.Mul64(hi, 62)
		low, c := bits.Add64(low, uint64(v), 0)
		high, c = bits.Add64(high, carry, c)
		if over != 0 || c != 0 {
			return 0, 0, false
		}
		hi, lo = high, low
	}
	return hi, lo, true
}

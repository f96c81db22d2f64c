// Package glob matches mail addresses against patterns.
package glob

import "strings"

// Match reports whether pattern matches all of s, without regard to case. A
// star stands for any run of characters, also none and also with "@" in it; a
// question mark stands for one octet. Nothing else is special.
//
// The time it takes grows with the product of the two lengths, never faster.
func Match(pattern, s string) bool {
	pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	star, resume := -1, 0 // the last star seen, and where in s its run ends
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0: // let the last star take one octet more
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

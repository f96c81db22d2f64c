// Package bounce translates whatever receiving servers answer into one answer: which
// recipient, why, hard or soft, and what to do about it.
//
// Mail fails in two ways. A server refuses it while we talk to it: then there is a
// reply, and [Classify] says what it means. Or a server takes it and fails later:
// then it writes back to the envelope's reverse-path, each in its own way, and
// [Parse] reads that, whether it is a delivery status notification, the prose of a
// server that writes none, a feedback report of a provider whose user called the
// mail spam, an automatic reply or a challenge. A service that we relay through
// posts events instead: a [Webhook] for each turns them into the same [Report].
//
// A [Reason] says why, in 36 words that stay the same: "bad-mailbox",
// "mailbox-full", "ip-blocked". The [Verdict] says what it means for the address:
// [Hard] if it must not be mailed again, [Soft] if the fault may pass or is not the
// address's own. The code does not tell: of all 550 replies a third is not about the
// recipient. The [Action] says what a sender should do next, and the [Confidence]
// what all this was told by.
//
// Returned mail comes from anybody. A report counts only if it proves that we sent
// the mail it speaks of: by a token that nobody else could have made, in one of the
// strings that [Report.Candidates] yields.
//
// To receive it, point the MX of a domain for bounces at a [Server], or empty an
// existing mailbox with [DrainMaildir] or [ReadMbox]. [WriteDSN] and
// [WriteFeedback] write what Parse reads.
//
// Everything is safe for concurrent use unless it says otherwise, starts no
// goroutine that outlives the call, and does work in proportion to its input, up to
// limits that are written at each function.
package bounce

// Package smtp sends mail: through a server that relays it, or straight to the
// servers of its recipients.
//
// A [Transport] takes a finished [Message] and says what became of each of its
// recipients:
//
//	relay, err := smtp.NewRelay("smtp://user:password@smtp.example.com:587", nil)
//	…
//	result, err := relay.Send(ctx, &smtp.Message{
//		From:    "ana@example.com",
//		To:      []smtp.Recipient{{Addr: "luis@example.org"}},
//		Content: smtp.Bytes(message),
//	})
//
// # Outcomes
//
// The [Result] holds an [Outcome] for each recipient. A message to three may be
// accepted for the first, deferred for the second, whose mailbox is full, and
// rejected for the third, who does not exist.
//
// Between sending the last octet of a message and hearing the answer lies a moment
// in which nobody can tell whether the server has it. If the connection is lost
// then, the outcome is [Indeterminate], and only the caller can choose between
// sending again, perhaps twice, and not sending again, perhaps never. Everywhere
// before that moment a message is either wholly sent or not at all: a body that
// cannot be read to its end, a panic in it or a cancelled context closes the
// connection, so that no server takes a part for the whole.
//
// # On the wire
//
// Lines end with CRLF whatever they ended with before, except that a CR that stands
// alone is refused, as are NUL and lines of more than 998 octets. Bcc fields are
// left out. SMTPUTF8, 8BITMIME and the parameters of delivery reports are used when
// the message needs them; domains in Unicode go out as A-labels.
//
// Concurrent calls share connections, as requests share those of HTTP/2: where the
// server offers PIPELINING, commands follow one another without waiting for
// replies, and the envelope of the next message rides behind the body of this one
// (RFC 2920); with CHUNKING, several whole messages are on their way at a time
// (RFC 3030). How many is [PoolOptions.MaxInFlight], approached from one as answers
// come back clean.
//
// # Straight to the recipients' servers
//
// A [Direct] does without a relay. For each domain it finds the mail hosts (MX), in
// order of preference, and goes on to the next one where a host does not answer or
// defers the sender; what a host says of a recipient or of the message is final for
// this attempt. Anyone can publish an MX record that points into your network, so
// addresses that are private, loopback or otherwise special are refused unless
// [DirectOptions.AllowAddr] says otherwise.
//
// [Direct.Plan] explains the route and the TLS policy of a domain, and [Preflight]
// what receivers will make of the sender's.
//
// # TLS
//
// What is required is never silently done without. Towards the hosts of a domain
// TLS is used where it is offered, with any certificate, unless the domain has a
// policy: DANE (TLSA records, RFC 7672) needs a [Resolver] that validates DNSSEC and
// comes first; MTA-STS (RFC 8461) is kept in an [STSStore]. A host that does not
// meet the policy gets no mail, TLSA records out of reach are not taken for none, and
// an MTA-STS policy once seen holds until it expires.
//
// Credentials go over TLS only, and a message can ask for TLS on all of its way
// ([Message.TLS]).
package smtp

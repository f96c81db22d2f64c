// Package tracking makes messages that tell what became of them, and keeps what
// they tell.
//
// # From a message to a copy
//
// A [Message] is what all recipients of a mailing get: subject, HTML, attachments,
// labels such as the campaign. [Tracker.Compile] reads it once. It finds the links,
// places the open pixel, encodes every part, and leaves holes for what differs by
// recipient: the result is a [Template]. [Template.Append] copies it, and fills the
// holes, in about a microsecond; the same recipient gets the same bytes each time.
// [Tracker.CompileRaw] does the same to a finished message, and a [Catalog] reads
// messages from files. The host's HTML is kept byte for byte, but for the links,
// the pixel and the merge fields. [Template.Lint] tells what the large receivers
// would have against the message.
//
// # Tokens
//
// The links of a copy lead to the host's own [Tracker], an [http.Handler]. Each
// consists of two signed parts: one says where the link leads and is the same in
// all copies, the other names the copy. Nothing has to be looked up to follow one,
// links never die, and none leads anywhere that was not signed. A token of a click
// unsubscribes nobody. No token holds an address.
//
// The reverse-path and the Message-ID of a copy hold a token, too.
// [Tracker.Identify] reads it: a bounce or a complaint that shows one is about a
// mail that we sent.
//
// Tokens are signed with the first of the tracker's keys. [NewKey] makes one,
// [FormatKeys] and [ParseKeys] carry them through an environment variable. To
// rotate keys, put a new one before the old.
//
// # Hits
//
// A hit is an open or a click. Mail scanners follow every link of a mail, and some
// clients load its images before anyone reads it. So hits wait a few seconds for
// others of the same mail, and are judged together before they become events. None
// is dropped: [Event.Machine] lists the reasons to think that no person was there,
// and the statistics count people and machines apart. Gmail's and Yahoo's proxies
// fetch an image when the mail is opened; their opens are people's.
//
// A GET never unsubscribes anyone, since scanners follow that link as well: it
// shows a page, and only its POST, or the POST of a mail client (RFC 8058, section
// 3.2), acts.
//
// # Privacy
//
// The [Policy] of the tracker, the message and the recipient say how much may be
// kept of opens and of clicks, from nothing to the client's whole address: see
// [Mode]. In mode Anonymous the token itself names no one. [Options.Consent] is
// asked at each hit, so that whoever withdraws consent is not tracked by mail that
// was sent before, and a client that sends Sec-GPC or DNT is counted anonymously.
//
// # Events
//
// All that happens to a mail is an [Event]: the queue emits delivered, deferred and
// bounced; the handler opened, clicked and unsubscribed; returned mail brings
// bounced and complained. A [Sink] receives them. The queue's stores are sinks; so
// are [Journal], which keeps events in a host's own database and counts them,
// [Webhook], which posts them, [Batch], [Multi], [Log] and [Chan]. The same event
// can come twice, with the same ID.
package tracking

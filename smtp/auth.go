package smtp

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Auth picks how to authenticate to a server. Its methods may be called
// concurrently.
type Auth interface {
	// Begin starts an exchange for one connection. It may choose by what the server
	// offers, and may fetch a token, for which ctx counts.
	Begin(ctx context.Context, server *ServerInfo) (Exchange, error)
}

// Exchange is one SASL conversation, seen from the client. The Client of
// github.com/emersion/go-sasl is one.
//
// An Exchange that also has a method Finish() error is asked whether it
// believes the server's report of success. An error fails the authentication.
type Exchange interface {
	// Start gives the name of the mechanism and the initial response; nil is none,
	// and empty an empty one.
	Start() (mechanism string, initial []byte, err error)
	// Next answers a challenge. An error cancels the exchange.
	Next(challenge []byte) (response []byte, err error)
}

// Password authenticates with a user name and a password, by the first of the
// mechanisms that the server offers. Without mechanisms these are, in this order:
// SCRAM-SHA-256-PLUS, SCRAM-SHA-256, SCRAM-SHA-1-PLUS, SCRAM-SHA-1, PLAIN, LOGIN and
// CRAM-MD5; and without TLS, CRAM-MD5 before PLAIN.
func Password(user, password string, mechanisms ...string) Auth {
	return passwordAuth{user, password, slices.Clone(mechanisms)}
}

// Token authenticates with an OAuth 2.0 access token, by OAUTHBEARER (RFC 7628) or
// else XOAUTH2. source gives the token for each connection; it should keep a
// token until that expires, as golang.org/x/oauth2 does.
func Token(user string, source func(ctx context.Context) (string, error)) Auth {
	return tokenAuth{user, source}
}

// External authenticates as who the connection already proves one to be, by a
// client certificate or a Unix socket (RFC 4422, appendix A). identity is the
// identity to act as; empty is the proven one.
func External(identity string) Auth {
	return Mechanism("EXTERNAL", func(*ServerInfo) (Exchange, error) {
		return &fixedExchange{mechanism: "EXTERNAL", initial: []byte(identity)}, nil
	})
}

// Mechanism authenticates by the exchange that begin makes. It fails if the server
// does not offer a mechanism of this name.
func Mechanism(name string, begin func(server *ServerInfo) (Exchange, error)) Auth {
	return mechanismAuth{strings.ToUpper(name), begin}
}

type mechanismAuth struct {
	name  string
	begin func(*ServerInfo) (Exchange, error)
}

func (a mechanismAuth) Begin(_ context.Context, server *ServerInfo) (Exchange, error) {
	if !server.Offers(a.name) {
		return nil, notOffered(server, a.name)
	}
	return a.begin(server)
}

func notOffered(server *ServerInfo, wanted ...string) error {
	return fmt.Errorf("%w: server offers %q, and none of %q", ErrAuth, server.Mechanisms(), wanted)
}

type passwordAuth struct {
	user, password string
	mechanisms     []string
}

var (
	passwordMechanisms = []string{
		"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5",
	}
	clearMechanisms = []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"}
)

func (a passwordAuth) Begin(_ context.Context, server *ServerInfo) (Exchange, error) {
	wanted := a.mechanisms
	switch {
	case len(wanted) > 0:
	case server.TLS == nil:
		wanted = clearMechanisms
	default:
		wanted = passwordMechanisms
	}
	for _, name := range wanted {
		if name = strings.ToUpper(name); server.Offers(name) {
			return a.exchange(name, server)
		}
	}
	return nil, notOffered(server, wanted...)
}

func (a passwordAuth) exchange(name string, server *ServerInfo) (Exchange, error) {
	if strings.Contains(a.user+a.password, "\x00") {
		return nil, errors.New("NUL in the user name or password")
	}
	switch name {
	case "PLAIN": // RFC 4616
		return &fixedExchange{mechanism: name, initial: []byte("\x00" + a.user + "\x00" + a.password)}, nil
	case "LOGIN":
		return &fixedExchange{mechanism: name, answers: [][]byte{[]byte(a.user), []byte(a.password)}}, nil
	case "CRAM-MD5":
		return &cramMD5{a.user, a.password}, nil
	}
	return newScram(name, a.user, a.password, server)
}

// fixedExchange says what it has to say, whatever the challenges are.
type fixedExchange struct {
	mechanism string
	initial   []byte
	answers   [][]byte
}

func (e *fixedExchange) Start() (string, []byte, error) { return e.mechanism, e.initial, nil }

func (e *fixedExchange) Next([]byte) ([]byte, error) {
	if len(e.answers) == 0 {
		return nil, fmt.Errorf("%w: more challenges than %s has", errProtocol, e.mechanism)
	}
	answer := e.answers[0]
	e.answers = e.answers[1:]
	return answer, nil
}

// cramMD5 is RFC 2195.
type cramMD5 struct{ user, password string }

func (e *cramMD5) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (e *cramMD5) Next(challenge []byte) ([]byte, error) {
	mac := hmac.New(md5.New, []byte(e.password))
	mac.Write(challenge)
	return []byte(e.user + " " + hex.EncodeToString(mac.Sum(nil))), nil
}

type tokenAuth struct {
	user   string
	source func(context.Context) (string, error)
}

func (a tokenAuth) Begin(ctx context.Context, server *ServerInfo) (Exchange, error) {
	bearer := server.Offers("OAUTHBEARER")
	if !bearer && !server.Offers("XOAUTH2") {
		return nil, notOffered(server, "OAUTHBEARER", "XOAUTH2")
	}
	token, err := a.source(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch token: %w", err)
	}
	if strings.Contains(a.user+token, "\x01") {
		return nil, errors.New("control character in the user name or token")
	}
	// Both answer a refusal, which comes as a challenge, so that the server goes on
	// to say it in a reply.
	if !bearer {
		return &fixedExchange{
			mechanism: "XOAUTH2",
			initial:   []byte("user=" + a.user + "\x01auth=Bearer " + token + "\x01\x01"),
			answers:   [][]byte{{}},
		}, nil
	}
	identity := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(a.user)
	return &fixedExchange{
		mechanism: "OAUTHBEARER",
		initial:   []byte("n,a=" + identity + ",\x01auth=Bearer " + token + "\x01\x01"),
		answers:   [][]byte{{1}},
	}, nil
}

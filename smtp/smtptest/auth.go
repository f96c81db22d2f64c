package smtptest

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/xdg-go/scram"
)

// mechanisms are those that the server knows, best first.
var mechanisms = []string{
	"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1",
	"CRAM-MD5", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2",
}

// offered are the mechanisms for one connection: those with channel binding need
// a channel.
func (s *Server) offered(c *conn) []string {
	return slices.DeleteFunc(slices.Clone(s.opts.Mechanisms), func(name string) bool {
		return c.tls == nil && strings.HasSuffix(name, "-PLUS")
	})
}

// authenticate starts an exchange that ends by naming the user of c.
func (s *Server) authenticate(mechanism string, c *conn) (sasl.Server, error) {
	if !slices.Contains(s.offered(c), mechanism) {
		return nil, gosmtp.ErrAuthUnknownMechanism
	}
	a := &authenticator{users: s.opts.Users, conn: c}
	switch mechanism {
	case "CRAM-MD5":
		return a.cramMD5(), nil
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return a.check(user, password) }), nil
	case "LOGIN":
		return a.login(), nil
	case "OAUTHBEARER", "XOAUTH2":
		return a.token(), nil
	}
	return a.scram(mechanism, slices.Contains(s.offered(c), mechanism+"-PLUS"))
}

// authenticator checks what clients say of themselves.
type authenticator struct {
	users map[string]string
	conn  *conn
}

func (a *authenticator) check(user, password string) error {
	known, ok := a.users[user]
	if !ok || known != password {
		return gosmtp.ErrAuthFailed
	}
	a.conn.user = user
	return nil
}

// exchange is a sasl.Server made of one function. The response is nil if the
// client has yet to say something.
type exchange func(response []byte) (challenge []byte, done bool, err error)

// Next implements [sasl.Server].
func (e exchange) Next(response []byte) ([]byte, bool, error) { return e(response) }

func (a *authenticator) login() exchange {
	var user *string
	return func(response []byte) ([]byte, bool, error) {
		switch {
		case response == nil:
			return []byte("Username:"), false, nil
		case user == nil:
			name := string(response)
			user = &name
			return []byte("Password:"), false, nil
		}
		return nil, true, a.check(*user, string(response))
	}
}

// cramMD5 is RFC 2195.
func (a *authenticator) cramMD5() exchange {
	challenge := fmt.Sprintf("<%s@%s>", rand.Text(), a.conn.server.opts.Hostname)
	return func(response []byte) ([]byte, bool, error) {
		if response == nil {
			return []byte(challenge), false, nil
		}
		user, digest, _ := strings.Cut(string(response), " ")
		mac := hmac.New(md5.New, []byte(a.users[user]))
		mac.Write([]byte(challenge))
		if hex.EncodeToString(mac.Sum(nil)) != digest {
			return nil, false, gosmtp.ErrAuthFailed
		}
		return nil, true, a.check(user, a.users[user])
	}
}

// token is OAUTHBEARER (RFC 7628) and XOAUTH2, which Google and Microsoft had
// before it. In both a refusal is a challenge, which the client answers with an
// empty line or with 0x01 before it is refused for good.
func (a *authenticator) token() exchange {
	refused := false
	return func(response []byte) ([]byte, bool, error) {
		switch {
		case refused:
			return nil, false, gosmtp.ErrAuthFailed
		case response == nil:
			return nil, false, nil
		case a.check(parseToken(string(response))) != nil:
			refused = true
			return []byte(`{"status":"invalid_token","schemes":"bearer"}`), false, nil
		}
		return nil, true, nil
	}
}

// parseToken reads "n,a=USER,\x01auth=Bearer TOKEN\x01\x01" (OAUTHBEARER) and
// "user=USER\x01auth=Bearer TOKEN\x01\x01" (XOAUTH2).
func parseToken(response string) (user, token string) {
	for field := range strings.SplitSeq(response, "\x01") {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "n,a":
			user = strings.TrimSuffix(value, ",")
		case "user":
			user = value
		case "auth":
			_, token, _ = strings.Cut(value, " ")
		}
	}
	return user, token
}

// scram is RFC 5802, with the channel bindings of RFC 9266 and RFC 5929. The last
// challenge holds the server's proof; the client answers with an empty line.
func (a *authenticator) scram(mechanism string, plusOffered bool) (sasl.Server, error) {
	name, bound := strings.CutSuffix(mechanism, "-PLUS")
	hash := scram.SHA256
	if name == "SCRAM-SHA-1" {
		hash = scram.SHA1
	}
	server, err := hash.NewServer(func(user string) (scram.StoredCredentials, error) {
		return a.stored(hash, user)
	})
	if err != nil {
		return nil, err
	}
	var talk *scram.ServerConversation
	return exchange(func(response []byte) ([]byte, bool, error) {
		switch {
		case response == nil:
			return nil, false, nil
		case talk == nil:
			if talk, err = a.converse(server, string(response), bound, plusOffered); err != nil {
				return nil, false, err
			}
		case talk.Done():
			a.conn.user = talk.Username()
			return nil, true, nil
		}
		challenge, err := talk.Step(string(response))
		if err != nil {
			return nil, false, gosmtp.ErrAuthFailed
		}
		return []byte(challenge), false, nil
	}), nil
}

// converse picks the channel binding that the client's first message names.
func (a *authenticator) converse(s *scram.Server, first string, bound, plusOffered bool) (*scram.ServerConversation, error) {
	if !bound && !plusOffered {
		return s.NewConversation(), nil
	}
	binding, err := a.binding(first)
	if err != nil {
		return nil, errors.Join(gosmtp.ErrAuthFailed, err)
	}
	if bound {
		return s.NewConversationWithChannelBindingRequired(binding), nil
	}
	return s.NewConversationWithChannelBinding(binding), nil
}

// binding is the channel binding that the client's first message names;
// tls-exporter if it names none.
func (a *authenticator) binding(first string) (scram.ChannelBinding, error) {
	state := a.conn.tls.ConnectionState()
	name, _, _ := strings.Cut(first, ",")
	switch name {
	case "p=tls-unique":
		return scram.NewTLSUniqueBinding(state.TLSUnique), nil
	case "p=tls-server-end-point":
		state.PeerCertificates = []*x509.Certificate{a.conn.server.leaf()}
		return scram.NewTLSServerEndpointBinding(&state)
	}
	return scram.NewTLSExporterBinding(&state)
}

// leaf is the server's certificate; empty if the configuration hides it.
func (s *Server) leaf() *x509.Certificate {
	certificates := s.opts.TLSConfig.Certificates
	if len(certificates) == 0 || certificates[0].Leaf == nil {
		return &x509.Certificate{}
	}
	return certificates[0].Leaf
}

// scramIterations is the least that RFC 7677, section 4 allows.
const scramIterations = 4096

func (a *authenticator) stored(hash scram.HashGeneratorFcn, user string) (scram.StoredCredentials, error) {
	password, ok := a.users[user]
	if !ok {
		return scram.StoredCredentials{}, gosmtp.ErrAuthFailed
	}
	client, err := hash.NewClient(user, password, "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	salt := sha256.Sum256([]byte(user))
	return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt[:]), Iters: scramIterations})
}

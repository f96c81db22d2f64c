package smtp

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// scramExchange is RFC 5802 and RFC 7677. It believes a success only after the
// server has proved that it knows the password as well.
type scramExchange struct {
	name         string
	conversation *scram.ClientConversation
	turn         int
}

func newScram(name, user, password string, server *ServerInfo) (*scramExchange, error) {
	generator, ok := map[string]scram.HashGeneratorFcn{
		"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-1": scram.SHA1,
	}[strings.TrimSuffix(name, "-PLUS")]
	if !ok {
		return nil, fmt.Errorf("mechanism %q takes no password, or is not known", name)
	}
	client, err := generator.NewClient(user, password, "")
	if err != nil {
		return nil, errors.New("user name or password holds characters that SCRAM does not take")
	}
	e := &scramExchange{name: name}
	switch {
	case strings.HasSuffix(name, "-PLUS"):
		binding, err := channelBinding(server.TLS)
		if err != nil {
			return nil, err
		}
		e.conversation = client.NewConversationWithChannelBinding(binding)
	case server.TLS != nil && !server.Offers(name+"-PLUS"):
		// RFC 5802, section 6: tells a server whose offer of PLUS was taken out on
		// the way that this happened.
		e.conversation = client.NewConversationAdvertisingChannelBinding()
	default:
		e.conversation = client.NewConversation()
	}
	return e, nil
}

// channelBinding is tls-exporter (RFC 9266), and tls-unique before TLS 1.3.
func channelBinding(state *tls.ConnectionState) (scram.ChannelBinding, error) {
	switch {
	case state == nil:
		return scram.ChannelBinding{}, errors.New("channel binding needs TLS")
	case state.Version >= tls.VersionTLS13:
		return scram.NewTLSExporterBinding(state)
	case len(state.TLSUnique) == 0:
		return scram.ChannelBinding{}, errors.New("this connection has no channel binding")
	}
	return scram.NewTLSUniqueBinding(state.TLSUnique), nil
}

func (e *scramExchange) Start() (string, []byte, error) {
	first, err := e.conversation.Step("")
	return e.name, []byte(first), err
}

func (e *scramExchange) Next(challenge []byte) ([]byte, error) {
	if e.turn++; e.turn == 1 {
		if err := checkServerFirst(string(challenge)); err != nil {
			return nil, err
		}
	}
	response, err := e.conversation.Step(string(challenge))
	return []byte(response), err
}

// Finish insists on the server's proof (RFC 5802, section 3).
func (e *scramExchange) Finish() error {
	if !e.conversation.Valid() {
		return errors.New("server reports success without proof that it knows the password")
	}
	return nil
}

const (
	maxIterations = 2_000_000 // a few seconds of work
	minSalt       = 8
)

// checkServerFirst refuses what would make guessing the password cheap for who
// listens, or logging in dear for us.
func checkServerFirst(message string) error {
	for attribute := range strings.SplitSeq(message, ",") {
		switch name, value, _ := strings.Cut(attribute, "="); name {
		case "i":
			if n, err := strconv.Atoi(value); err != nil || n > maxIterations {
				return fmt.Errorf("%w: server asks for %.20q iterations", errProtocol, value)
			}
		case "s":
			if salt, err := base64.StdEncoding.DecodeString(value); err != nil || len(salt) < minSalt {
				return fmt.Errorf("%w: salt shorter than %d octets", errProtocol, minSalt)
			}
		}
	}
	return nil
}

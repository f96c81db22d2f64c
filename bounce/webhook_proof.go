package bounce

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// unproven answers a request that is not the provider's, or not any more.
func unproven(format string, args ...any) error {
	return &refusal{http.StatusForbidden, fmt.Sprintf(format, args...)}
}

// checkTime reports a signature that is too old, or from the future.
func checkTime(seconds string, tolerance time.Duration) error {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return unproven("timestamp %.32q is not a number of seconds", seconds)
	}
	if age := time.Since(time.Unix(n, 0)); age.Abs() > tolerance {
		return unproven("timestamp is %v away", age.Round(time.Second))
	}
	return nil
}

// mailgunProof checks the signature that stands beside the event: an HMAC over a
// time and a token that is used once.
type mailgunProof struct {
	key       []byte
	tolerance time.Duration

	mu   sync.Mutex // guards seen
	seen map[string]time.Time
}

// maxSeen bounds the tokens that are remembered; the oldest are forgotten first.
const maxSeen = 1 << 16

func (m *mailgunProof) check(_ context.Context, _ *http.Request, body []byte) ([]byte, func(), error) {
	var b struct {
		Signature struct{ Timestamp, Token, Signature string }
		Event     json.RawMessage `json:"event-data"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, nil, &refusal{http.StatusBadRequest, "not JSON"}
	}
	mac := hmac.New(sha256.New, m.key)
	mac.Write([]byte(b.Signature.Timestamp + b.Signature.Token))
	got, err := hex.DecodeString(b.Signature.Signature)
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return nil, nil, unproven("wrong signature")
	}
	if err := checkTime(b.Signature.Timestamp, m.tolerance); err != nil {
		return nil, nil, err
	}
	if m.known(b.Signature.Token) {
		return nil, nil, nil // it was taken; the provider missed our answer, or somebody replays it
	}
	return b.Event, func() { m.remember(b.Signature.Token) }, nil
}

func (m *mailgunProof) known(token string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.seen[token]
	return known
}

func (m *mailgunProof) remember(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) >= maxSeen {
		m.forget()
	}
	m.seen[token] = time.Now()
}

// forget drops the older half of what was seen. Its callers hold mu.
func (m *mailgunProof) forget() {
	times := make([]time.Time, 0, len(m.seen))
	for _, t := range m.seen {
		times = append(times, t)
	}
	slices.SortFunc(times, time.Time.Compare)
	middle := times[len(times)/2]
	for token, t := range m.seen {
		if !t.After(middle) {
			delete(m.seen, token)
		}
	}
}

// sendGridProof checks the signature in the header: ECDSA over the time and the
// body.
type sendGridProof struct {
	key       *ecdsa.PublicKey
	tolerance time.Duration
}

func parseSendGridKey(s string) (*ecdsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil {
		return nil, fmt.Errorf("public key is not base64: %w", err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	k, ok := key.(*ecdsa.PublicKey)
	return k, require(ok, "public key is not one of ECDSA")
}

func (s *sendGridProof) check(_ context.Context, r *http.Request, body []byte) ([]byte, func(), error) {
	at := r.Header.Get("X-Twilio-Email-Event-Webhook-Timestamp")
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Twilio-Email-Event-Webhook-Signature"))
	sum := sha256.New()
	sum.Write([]byte(at))
	sum.Write(body)
	if err != nil || !ecdsa.VerifyASN1(s.key, sum.Sum(nil), signature) {
		return nil, nil, unproven("wrong signature")
	}
	return body, func() {}, checkTime(at, s.tolerance)
}

// snsProof checks the signature of Amazon SNS: RSA, with a certificate that the
// message names by its URL.
type snsProof struct {
	topics []string
	client *http.Client

	mu           sync.Mutex // guards certificates
	certificates map[string]*certificate
}

type certificate struct{ *x509.Certificate }

// snsMessage is what Amazon SNS posts.
type snsMessage struct {
	Type, MessageID, TopicArn, Subject, Message, Timestamp string
	SignatureVersion, Signature, SigningCertURL            string
	Token, SubscribeURL                                    string
}

// snsHost is the name of a server of Amazon SNS, and of nobody else.
var snsHost = regexp.MustCompile(`^sns\.[a-z0-9-]{1,32}\.amazonaws\.com(\.cn)?$`)

func (s *snsProof) check(ctx context.Context, _ *http.Request, body []byte) ([]byte, func(), error) {
	var m snsMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, nil, &refusal{http.StatusBadRequest, "not JSON"}
	}
	if !slices.Contains(s.topics, m.TopicArn) {
		return nil, nil, unproven("topic %.256q is not ours", m.TopicArn)
	}
	if err := s.verify(ctx, &m); err != nil {
		return nil, nil, err
	}
	switch m.Type {
	case "Notification":
		if !json.Valid([]byte(m.Message)) {
			return nil, nil, nil // QUIRK: SES greets a new topic with a sentence
		}
		return []byte(m.Message), func() {}, nil
	case "SubscriptionConfirmation":
		return nil, nil, s.confirm(ctx, m.SubscribeURL)
	}
	return nil, nil, nil // we were unsubscribed
}

// verify checks the signature of a message.
func (s *snsProof) verify(ctx context.Context, m *snsMessage) error {
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	if err != nil {
		return unproven("signature is not base64")
	}
	c, err := s.certificate(ctx, m.SigningCertURL)
	if err != nil {
		return err
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if now := time.Now(); !ok || now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return unproven("certificate is not one of RSA, or not valid now")
	}
	hash, sum := crypto.SHA256, sha256.New()
	switch m.SignatureVersion {
	case "1":
		hash, sum = crypto.SHA1, sha1.New()
	case "2":
	default:
		return unproven("signature version %.16q is not 1 or 2", m.SignatureVersion)
	}
	_, _ = io.WriteString(sum, m.signed())
	if rsa.VerifyPKCS1v15(key, hash, sum.Sum(nil), signature) != nil {
		return unproven("wrong signature")
	}
	return nil
}

// signed is the text that the signature is over.
func (m *snsMessage) signed() string {
	fields := []string{"Message", m.Message, "MessageId", m.MessageID}
	if m.Type == "Notification" {
		if m.Subject != "" {
			fields = append(fields, "Subject", m.Subject)
		}
		fields = append(fields, "Timestamp", m.Timestamp)
	} else {
		fields = append(fields, "SubscribeURL", m.SubscribeURL, "Timestamp", m.Timestamp, "Token", m.Token)
	}
	fields = append(fields, "TopicArn", m.TopicArn, "Type", m.Type, "")
	return strings.Join(fields, "\n")
}

// maxCertificates bounds the certificates that are kept.
const maxCertificates = 16

// certificate fetches a certificate, once.
func (s *snsProof) certificate(ctx context.Context, from string) (*certificate, error) {
	u, err := url.Parse(from)
	if err != nil || !ofSNS(u) || !strings.HasSuffix(u.Path, ".pem") || u.RawQuery != "" {
		return nil, unproven("certificate %.256q is not one of Amazon SNS", from)
	}
	s.mu.Lock()
	c := s.certificates[from]
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	text, err := s.fetch(ctx, from)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("bounce: certificate is not PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("bounce: certificate: %w", err)
	}
	c = &certificate{parsed}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.certificates) >= maxCertificates {
		clear(s.certificates)
	}
	s.certificates[from] = c
	return c, nil
}

// confirm tells Amazon that the subscription to a topic of ours is wanted.
func (s *snsProof) confirm(ctx context.Context, at string) error {
	u, err := url.Parse(at)
	if err != nil || !ofSNS(u) || u.Query().Get("Action") != "ConfirmSubscription" {
		return unproven("subscription %.256q is not one of Amazon SNS", at)
	}
	_, err = s.fetch(ctx, at)
	return err
}

// ofSNS reports whether a URL leads to Amazon SNS and nowhere else.
func ofSNS(u *url.URL) bool {
	return u.Scheme == "https" && u.User == nil && u.Fragment == "" && snsHost.MatchString(u.Host)
}

// fetch gets a document of Amazon SNS. A failure is ours: the message comes again.
func (s *snsProof) fetch(ctx context.Context, from string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, fmt.Errorf("bounce: %w", err)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("bounce: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("bounce: %s answered %s", r.URL.Host, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("bounce: read from %s: %w", r.URL.Host, err)
	}
	return text, nil
}

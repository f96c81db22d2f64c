package tracking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	signatureScheme = "v1,"
	// hookTolerance is how far a timestamp may be from our clock.
	hookTolerance = 5 * time.Minute
	// maxHookBody bounds the body of a webhook.
	maxHookBody = 1 << 20
	// maxSignatures bounds how many signatures are looked at.
	maxSignatures = 16
)

// ErrBadSignature is wrapped by the errors for a webhook that was not signed with
// any of the secrets, or too long ago.
var ErrBadSignature = errors.New("webhook is not signed by a known secret")

// hookSignature signs by the rules of Standard Webhooks 1.0.
func hookSignature(secret []byte, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// VerifyWebhook checks the signature of a request by Standard Webhooks 1.0: one of
// its signatures must be of the whole body by one of the secrets ("whsec_…"), and
// its timestamp within 5 minutes of now. The same webhook-id can come again.
func VerifyWebhook(header http.Header, body []byte, secrets ...string) error {
	keys, err := parseSecrets(secrets)
	if err != nil {
		return err
	}
	id, timestamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil {
		return fmt.Errorf("tracking: webhook-id %q, webhook-timestamp %q: %w", id, timestamp, ErrBadSignature)
	}
	if age := time.Since(time.Unix(seconds, 0)); age.Abs() > hookTolerance {
		return fmt.Errorf("tracking: webhook %q is %v from now: %w", id, age.Round(time.Second), ErrBadSignature)
	}
	signatures := strings.SplitN(header.Get("Webhook-Signature"), " ", maxSignatures+1)
	for _, key := range keys {
		want := signatureScheme + base64.StdEncoding.EncodeToString(hookSignature(key, id, timestamp, body))
		for _, s := range signatures[:min(len(signatures), maxSignatures)] {
			if hmac.Equal([]byte(s), []byte(want)) {
				return nil
			}
		}
	}
	return fmt.Errorf("tracking: webhook %q: %w", id, ErrBadSignature)
}

// ReadWebhook reads and verifies what a [Webhook] posted. It reads at most a
// megabyte. An event that comes again has the same ID.
func ReadWebhook(r *http.Request, secrets ...string) (Event, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxHookBody+1))
	if err != nil {
		return Event{}, fmt.Errorf("tracking: webhook: %w", err)
	}
	if len(body) > maxHookBody {
		return Event{}, fmt.Errorf("tracking: webhook of more than %d bytes", maxHookBody)
	}
	if err := VerifyWebhook(r.Header, body, secrets...); err != nil {
		return Event{}, err
	}
	var in webhookBody
	if err := json.Unmarshal(body, &in); err != nil {
		return Event{}, fmt.Errorf("tracking: webhook: %w", err)
	}
	if in.Type != eventPrefix+string(in.Data.Type) {
		return Event{}, fmt.Errorf("tracking: webhook of type %q with an event of type %q", in.Type, in.Data.Type)
	}
	return in.Data, nil
}

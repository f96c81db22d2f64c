package tracking

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Key signs tokens (HMAC-SHA256). Its ID stands in every token, so that keys can
// be rotated: put the new one first, and keep the old ones as long as their mail
// may be opened, clicked, unsubscribed or returned.
type Key struct {
	ID uint8
	// Secret is at least 32 random bytes.
	Secret []byte
}

// minSecret is the shortest secret, that of the hash (RFC 2104, section 3).
const minSecret = 32

// NewKey returns a key with a fresh random secret. Store what [FormatKeys] makes
// of it where secrets are kept: a lost key invalidates the links of all mail that
// it signed.
func NewKey(id uint8) Key {
	k := Key{ID: id, Secret: make([]byte, minSecret)}
	_, _ = rand.Read(k.Secret) // never fails
	return k
}

// String names the key without its secret, so that it can be logged.
func (k Key) String() string { return fmt.Sprintf("key %d", k.ID) }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ParseKeys reads keys as an environment variable holds them, the signing key
// first: "2:<secret>,1:<secret>", where each secret is base64 in the usual or the
// URL alphabet, padded or not. The errors name the position and ID of a key that
// is at fault, never its secret.
func ParseKeys(s string) ([]Key, error) {
	var keys []Key
	var faults []error
	for i, field := range strings.Split(s, ",") {
		k, err := parseKey(strings.TrimSpace(field))
		if err != nil {
			faults = append(faults, fmt.Errorf("tracking: key at position %d: %w", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	faults = append(faults, checkKeys(keys)...)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return keys, nil
}

// FormatKeys writes the form that [ParseKeys] reads. It contains the secrets.
func FormatKeys(keys []Key) string {
	fields := make([]string, len(keys))
	for i, k := range keys {
		fields[i] = strconv.Itoa(int(k.ID)) + ":" + base64.RawURLEncoding.EncodeToString(k.Secret)
	}
	return strings.Join(fields, ",")
}

var plainBase64 = strings.NewReplacer("-", "+", "_", "/", "=", "")

func parseKey(field string) (Key, error) {
	id, secret, found := strings.Cut(field, ":")
	if !found {
		return Key{}, errors.New(`want "<number>:<base64>"`)
	}
	n, err := strconv.ParseUint(id, 10, 8)
	if err != nil {
		return Key{}, errors.New("the number before the colon must be between 0 and 255")
	}
	raw, err := base64.RawStdEncoding.DecodeString(plainBase64.Replace(secret))
	if err != nil {
		return Key{}, fmt.Errorf("key %d: the secret is not base64", n)
	}
	return Key{ID: uint8(n), Secret: raw}, nil
}

// checkKeys returns a fault for each key that cannot be used.
func checkKeys(keys []Key) []error {
	var faults []error
	var seen [256]bool
	for _, k := range keys {
		if len(k.Secret) < minSecret {
			faults = append(faults, fmt.Errorf("tracking: %v has a secret of %d bytes: it takes %d; NewKey makes one", k, len(k.Secret), minSecret))
		}
		if seen[k.ID] {
			faults = append(faults, fmt.Errorf("tracking: %v is given twice: IDs must differ", k))
		}
		seen[k.ID] = true
	}
	return faults
}

package smtp

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// DKIMKey is a private key and the name under which its public half is
// published. It is made by [ParseDKIMKey] or [NewDKIMKey] and does not change.
type DKIMKey struct {
	domain, selector string
	algorithm        string // "rsa" or "ed25519", the k= of the record
	signer           crypto.Signer
}

// The sizes of RSA keys, in bits. Below the first a key is weak (RFC 8301,
// section 3.2); above the second verifiers need not take it.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// ParseDKIMKey reads an RSA or Ed25519 private key in PEM, as PKCS #1 or PKCS #8,
// without a passphrase. The key belongs to domain, the d= of its signatures, and
// is published under selector. For DMARC the domain must be that of the From
// field or above it.
func ParseDKIMKey(domain, selector string, pemData []byte) (*DKIMKey, error) {
	key, err := parsePrivateKey(pemData)
	if err != nil {
		return nil, fmt.Errorf("smtp: DKIM key of %s: %w", domain, err)
	}
	return NewDKIMKey(domain, selector, key)
}

// NewDKIMKey takes a key from elsewhere, such as a hardware module. It is called
// concurrently. Its public half is an *rsa.PublicKey of 2048 to 4096 bits or an
// ed25519.PublicKey.
func NewDKIMKey(domain, selector string, key crypto.Signer) (*DKIMKey, error) {
	k := &DKIMKey{signer: key}
	var fault string
	if k.domain, fault = parseDomain(domain); fault != "" {
		return nil, fmt.Errorf("smtp: DKIM domain %q: %s", domain, fault)
	}
	k.selector = strings.ToLower(selector)
	if fault = checkHost(k.RecordName()); fault != "" {
		return nil, fmt.Errorf("smtp: DKIM selector %q: %s", selector, fault)
	}
	var err error
	if k.algorithm, err = checkPublicKey(key.Public()); err != nil {
		return nil, fmt.Errorf("smtp: DKIM key of %s: %w", domain, err)
	}
	return k, nil
}

func parsePrivateKey(data []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errors.New("no PEM block with a private key")
		}
		switch block.Type {
		case "RSA PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, errors.New("the PEM block is encrypted: decrypt it first")
			}
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			return parsePKCS8(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the PEM block is encrypted: decrypt it first")
		}
	}
}

func parsePKCS8(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign: DKIM takes RSA and Ed25519", key)
	}
	return signer, nil
}

func checkPublicKey(key crypto.PublicKey) (algorithm string, err error) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return "ed25519", nil
	case *rsa.PublicKey:
		switch bits := key.N.BitLen(); {
		case bits < minRSABits:
			return "", fmt.Errorf("an RSA key of %d bits is weak: use %d", bits, minRSABits)
		case bits > maxRSABits:
			return "", fmt.Errorf("verifiers need not take an RSA key of %d bits: use %d", bits, minRSABits)
		}
		return "rsa", nil
	}
	return "", fmt.Errorf("a %T is of no use: DKIM takes RSA and Ed25519", key)
}

// RecordName is the DNS name at which the public half belongs.
func (k *DKIMKey) RecordName() string { return k.selector + "._domainkey." + k.domain }

// Record is the TXT record to publish at [DKIMKey.RecordName]. An RSA record is
// longer than the 255 octets of one string in DNS: a zone file wants it in
// several, which resolvers join.
func (k *DKIMKey) Record() string {
	var public []byte
	switch key := k.signer.Public().(type) {
	case ed25519.PublicKey:
		public = key // RFC 8463, section 4: without ASN.1
	case *rsa.PublicKey:
		public, _ = x509.MarshalPKIXPublicKey(key) // cannot fail for RSA
	}
	return "v=DKIM1; k=" + k.algorithm + "; p=" + base64.StdEncoding.EncodeToString(public)
}

// sign signs a SHA-256 hash. Both algorithms are deterministic. Ed25519 signs the
// hash as its message (RFC 8463, section 3).
func (k *DKIMKey) sign(hash []byte) ([]byte, error) {
	opts := crypto.SHA256
	if k.algorithm == "ed25519" {
		opts = crypto.Hash(0)
	}
	return k.signer.Sign(rand.Reader, hash, opts)
}

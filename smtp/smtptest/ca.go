package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// CA is a certificate authority for one test. It is safe for concurrent use.
type CA struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

// NewCA makes an authority that nobody trusts yet. Its certificates are valid
// from 1970 to 2084, so that they hold under the clock of testing/synctest too.
func NewCA() *CA {
	ca := &CA{key: newKey()}
	template := newTemplate("smtptest authority")
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign
	ca.certificate = ca.sign(template, template, &ca.key.PublicKey)
	return ca
}

// Issue makes a certificate for host names and IP addresses.
func (ca *CA) Issue(names ...string) tls.Certificate {
	template := newTemplate("smtptest server")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key := newKey()
	leaf := ca.sign(template, ca.certificate, &key.PublicKey)
	return tls.Certificate{
		Certificate: [][]byte{leaf.Raw, ca.certificate.Raw},
		PrivateKey:  key,
		Leaf:        leaf,
	}
}

// Pool is the authority alone, for RootCAs and ClientCAs.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	return pool
}

// Certificate is the authority's own, self-signed.
func (ca *CA) Certificate() *x509.Certificate { return ca.certificate }

func newTemplate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(err)
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Unix(0, 0),
		NotAfter:              time.Date(2084, 1, 1, 0, 0, 0, 0, time.UTC),
		BasicConstraintsValid: true,
	}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

func (ca *CA) sign(template, parent *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key, ca.key)
	must(err)
	certificate, err := x509.ParseCertificate(raw)
	must(err)
	return certificate
}

// must panics: a test server that cannot be made is a broken test.
func must(err error) {
	if err != nil {
		panic(fmt.Errorf("smtptest: %w", err))
	}
}

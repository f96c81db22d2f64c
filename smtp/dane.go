package smtp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// TLSA is a record that says which certificate a server has (RFC 6698). Of its
// usages mail knows two (RFC 7672, section 3.1): 2 names a certificate authority
// (DANE-TA), 3 the server's own certificate (DANE-EE).
type TLSA struct {
	Usage    uint8
	Selector uint8 // 0 the whole certificate, 1 its public key
	Matching uint8 // 0 Data as it is, 1 its SHA-256, 2 its SHA-512
	Data     []byte
}

func (r TLSA) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}

const (
	daneTA = 2
	daneEE = 3
)

func newTLSA(rr *dns.TLSA) TLSA {
	data, _ := hex.DecodeString(rr.Certificate) // the dns package made it from octets
	return TLSA{rr.Usage, rr.Selector, rr.MatchingType, data}
}

// usable reports whether r can verify a mail server (RFC 7672, section 3.1).
func (r TLSA) usable() bool {
	size, known := map[uint8]int{0: len(r.Data), 1: sha256.Size, 2: sha512.Size}[r.Matching]
	return (r.Usage == daneTA || r.Usage == daneEE) && r.Selector <= 1 &&
		known && len(r.Data) == size && size > 0
}

// matches reports whether r names cert, whatever the usage.
func (r TLSA) matches(cert *x509.Certificate) bool {
	data := cert.Raw
	if r.Selector == 1 {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, r.Data)
}

// dane is what the TLSA records at a host ask of the TLS session with it.
type dane struct {
	base    string   // the TLSA base domain: goes into SNI
	names   []string // what a certificate under DANE-TA may name
	records []TLSA   // the usable ones; empty means TLS without authentication
}

var (
	errNoTLSAMatch = errors.New("no TLSA record matches the certificate")
	errTLSAUnknown = errors.New("whether there are TLSA records cannot be told")
)

// String tells one set of demands from another.
func (d *dane) String() string { return fmt.Sprint(d.base, d.names, d.records) }

// tls is the configuration for a host that is verified by d and not by the web's
// authorities.
func (d *dane) tls(base *tls.Config) *tls.Config {
	conf := base.Clone()
	conf.ServerName = d.base
	conf.InsecureSkipVerify = true // the verifier, if there is one, takes its place
	return conf
}

// verifier is nil where nothing can be verified.
func (d *dane) verifier() func(tls.ConnectionState) error {
	if len(d.records) == 0 {
		return nil
	}
	return func(state tls.ConnectionState) error { return d.verify(state.PeerCertificates) }
}

// verify holds the certificates that a server sent, its own first, against the
// records.
func (d *dane) verify(chain []*x509.Certificate) error {
	if len(d.records) == 0 {
		return nil
	}
	if len(chain) == 0 {
		return errNoTLSAMatch
	}
	err := errNoTLSAMatch
	for _, r := range d.records {
		switch {
		case r.Usage == daneEE && r.matches(chain[0]):
			return nil // neither names nor dates count: RFC 7672, section 3.1.1
		case r.Usage == daneTA:
			taErr := d.verifyTA(r, chain)
			if taErr == nil {
				return nil
			}
			if !errors.Is(taErr, errNoTLSAMatch) {
				err = taErr
			}
		}
	}
	return err
}

// verifyTA checks the chain up to the authority that r names, and the name in
// the server's certificate (RFC 7672, section 3.1.2).
func (d *dane) verifyTA(r TLSA, chain []*x509.Certificate) error {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	found := false
	for _, cert := range append(chain[:len(chain):len(chain)], r.authority()...) {
		if r.matches(cert) {
			opts.Roots.AddCert(cert)
			found = true
		}
		opts.Intermediates.AddCert(cert)
	}
	if !found {
		return errNoTLSAMatch
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return err
	}
	var err error
	for _, name := range d.names {
		if err = chain[0].VerifyHostname(name); err == nil {
			return nil
		}
	}
	return err
}

// authority is the certificate that the record itself holds, if it holds one:
// a server need not send that.
func (r TLSA) authority() []*x509.Certificate {
	if r.Selector != 0 || r.Matching != 0 {
		return nil
	}
	cert, err := x509.ParseCertificate(r.Data)
	if err != nil {
		return nil
	}
	return []*x509.Certificate{cert}
}

// lookupDANE finds the TLSA records at the first of bases that has some: the
// names of a mail host, which are authentic like its addresses. It returns nil
// where there are none; an error means that the host must not be used now
// (RFC 7672, section 2.1.1).
func lookupDANE(ctx context.Context, r Resolver, bases []string, domain string) (*dane, error) {
	for _, base := range bases {
		answer, err := r.Lookup(ctx, "_25._tcp."+base, RecordTLSA)
		if err != nil {
			return nil, err
		}
		if !answer.Authentic || len(answer.TLSA) == 0 {
			continue
		}
		// RFC 7672, section 3.2.2
		d := &dane{base: base, names: append([]string{base, domain}, bases...)}
		for _, record := range answer.TLSA {
			if record.usable() {
				d.records = append(d.records, record)
			}
		}
		return d, nil
	}
	return nil, nil
}

package smtp_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// tlsa makes the record that names cert.
func tlsa(usage, selector, matching uint8, cert *x509.Certificate) smtp.TLSA {
	data := cert.Raw
	if selector == 1 {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return smtp.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data}
}

func TestDANEVerification(t *testing.T) {
	t.Parallel()
	root, other := newAuthority(t), newAuthority(t)
	middle := &authority{key: newKey(t)}
	middle.cert = root.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "intermediate"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, &middle.key.PublicKey)
	leafOf := func(a *authority, template x509.Certificate) *x509.Certificate {
		return a.sign(t, &template, &newKey(t).PublicKey)
	}
	leaf := leafOf(middle, x509.Certificate{DNSNames: []string{"mx.example.com"}})
	nexthop := leafOf(middle, x509.Certificate{DNSNames: []string{"example.com"}})
	wrongName := leafOf(middle, x509.Certificate{DNSNames: []string{"www.example.org"}})
	expired := leafOf(middle, x509.Certificate{DNSNames: []string{"mx.example.com"}, NotAfter: time.Now().Add(-time.Minute)})
	stranger := leafOf(other, x509.Certificate{DNSNames: []string{"mx.example.com"}})
	names := []string{"mx.example.com", "example.com"}
	chain := func(certs ...*x509.Certificate) []*x509.Certificate { return certs }

	tests := []struct {
		name    string
		records []smtp.TLSA
		chain   []*x509.Certificate
		ok      bool
	}{
		{"3 0 0", []smtp.TLSA{tlsa(3, 0, 0, leaf)}, chain(leaf), true},
		{"3 0 1", []smtp.TLSA{tlsa(3, 0, 1, leaf)}, chain(leaf), true},
		{"3 0 2", []smtp.TLSA{tlsa(3, 0, 2, leaf)}, chain(leaf), true},
		{"3 1 0", []smtp.TLSA{tlsa(3, 1, 0, leaf)}, chain(leaf), true},
		{"3 1 1", []smtp.TLSA{tlsa(3, 1, 1, leaf)}, chain(leaf), true},
		{"3 1 2", []smtp.TLSA{tlsa(3, 1, 2, leaf)}, chain(leaf), true},
		{"3 1 1 of another certificate", []smtp.TLSA{tlsa(3, 1, 1, stranger)}, chain(leaf), false},
		{"3 1 1 looks at neither name nor dates", []smtp.TLSA{tlsa(3, 1, 1, wrongName), tlsa(3, 1, 1, expired)}, chain(expired), true},
		{"3 1 1 of the authority is not of the server", []smtp.TLSA{tlsa(3, 1, 1, root.cert)}, chain(leaf, middle.cert, root.cert), false},
		{"roll-over: one of two", []smtp.TLSA{tlsa(3, 1, 1, stranger), tlsa(3, 1, 1, leaf)}, chain(leaf), true},
		{"2 0 0, the record holds the root that the server leaves out", []smtp.TLSA{tlsa(2, 0, 0, root.cert)}, chain(leaf, middle.cert), true},
		{"2 0 1 root in the chain", []smtp.TLSA{tlsa(2, 0, 1, root.cert)}, chain(leaf, middle.cert, root.cert), true},
		{"2 0 2 intermediate", []smtp.TLSA{tlsa(2, 0, 2, middle.cert)}, chain(leaf, middle.cert), true},
		{"2 1 1 intermediate", []smtp.TLSA{tlsa(2, 1, 1, middle.cert)}, chain(leaf, middle.cert), true},
		{"2 1 0 intermediate", []smtp.TLSA{tlsa(2, 1, 0, middle.cert)}, chain(leaf, middle.cert), true},
		{"2 1 1 names the domain", []smtp.TLSA{tlsa(2, 1, 1, root.cert)}, chain(nexthop, middle.cert, root.cert), true},
		{"2 1 1 wrong name", []smtp.TLSA{tlsa(2, 1, 1, root.cert)}, chain(wrongName, middle.cert, root.cert), false},
		{"2 1 1 expired", []smtp.TLSA{tlsa(2, 1, 1, root.cert)}, chain(expired, middle.cert, root.cert), false},
		{"2 1 1 authority sent along that did not sign", []smtp.TLSA{tlsa(2, 1, 1, root.cert)}, chain(stranger, root.cert), false},
		{"2 1 1 authority not sent", []smtp.TLSA{tlsa(2, 1, 1, root.cert)}, chain(leaf, middle.cert), false},
		{"no certificate", []smtp.TLSA{tlsa(3, 1, 1, leaf)}, nil, false},
		{"nothing usable: any certificate", []smtp.TLSA{tlsa(1, 1, 1, leaf)}, chain(stranger), true},
		{"an unusable one beside one that does not match", []smtp.TLSA{tlsa(0, 1, 1, leaf), tlsa(3, 1, 1, stranger)}, chain(leaf), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := smtp.VerifyDANE(test.records, names, test.chain)
			require.Equal(t, test.ok, err == nil, "%v", err)
		})
	}
}

// Whatever a record holds, it matches no certificate but the one that it names.
func FuzzTLSA(f *testing.F) {
	f.Add(uint8(3), uint8(1), uint8(1), make([]byte, 32))
	f.Add(uint8(2), uint8(0), uint8(0), []byte{0x30, 0x82})
	f.Add(uint8(3), uint8(0), uint8(2), make([]byte, 64))
	f.Add(uint8(255), uint8(9), uint8(7), []byte(nil))
	cert := &x509.Certificate{Raw: []byte("certificate"), RawSubjectPublicKeyInfo: []byte("key")}
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		record := smtp.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data}
		usable := (usage == 2 || usage == 3) && selector <= 1 &&
			(matching == 0 && len(data) > 0 || matching == 1 && len(data) == 32 || matching == 2 && len(data) == 64)
		err := smtp.VerifyDANE([]smtp.TLSA{record}, []string{"mx.example.com"}, []*x509.Certificate{cert})
		switch {
		case !usable: // any certificate will do
			require.NoError(t, err)
		case usage == 3:
			require.Equal(t, bytes.Equal(tlsa(usage, selector, matching, cert).Data, data), err == nil)
		default: // the certificate is none that an authority could have signed
			require.Error(t, err)
		}
	})
}

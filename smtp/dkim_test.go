package smtp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// bulk is a message of the kind that must be signed well.
const bulk = "From: Tienda <hola@example.com>\r\n" +
	"To: luis@example.net\r\n" +
	"Subject: =?utf-8?q?A=C3=B1o?=\r\n  nuevo,   precios\tnuevos \r\n" +
	"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\n" +
	"Message-ID: <1@example.com>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"List-Unsubscribe: <https://t.example.com/u/1>\r\n" +
	"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" +
	"Feedback-ID: campaign:stream:tenant:example\r\n" +
	"\r\n" +
	"Hola,  Luis: \r\n\r\n\tUn saludo.\r\n\r\n\r\n"

// date is the Date of the messages.
var date = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// testKeys are made once: RSA keys take long.
var testKeys = sync.OnceValues(func() (rsaKey *rsa.PrivateKey, edKey ed25519.PrivateKey) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return rsaKey, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
})

func dkimKey(t testing.TB, selector string, key crypto.Signer) *smtp.DKIMKey {
	t.Helper()
	k, err := smtp.NewDKIMKey("example.com", selector, key)
	require.NoError(t, err)
	return k
}

func bothKeys(t testing.TB) (rsaKey, edKey *smtp.DKIMKey) {
	t.Helper()
	r, e := testKeys()
	return dkimKey(t, "2026", r), dkimKey(t, "ed", e)
}

// sign gives the signed message.
func sign(t testing.TB, signer smtp.Signer, text string) string {
	t.Helper()
	header, err := signer.Sign(t.Context(), &smtp.Message{Date: date}, strings.NewReader(text))
	require.NoError(t, err)
	return string(header) + text
}

// verify has go-msgauth check the signatures against the keys' own records.
func verify(t testing.TB, text string, keys ...*smtp.DKIMKey) []*dkim.Verification {
	t.Helper()
	records := map[string]string{}
	for _, key := range keys {
		records[key.RecordName()] = key.Record()
	}
	verifications, err := dkim.VerifyWithOptions(strings.NewReader(text), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if record, ok := records[name]; ok {
				return []string{record}, nil
			}
			return nil, &net.DNSError{Name: name, IsNotFound: true}
		},
	})
	require.NoError(t, err)
	return verifications
}

func TestDKIMVerifies(t *testing.T) {
	t.Parallel()
	rsaKey, edKey := bothKeys(t)
	header := bulk[:strings.Index(bulk, "\r\n\r\n")+2]
	tests := []struct{ name, text string }{
		{"bulk mail", bulk},
		{"empty body", header + "\r\n"},
		{"body of empty lines", header + "\r\n\r\n\r\n"},
		{"body of white space", header + "\r\n \t\r\n  \r\n"},
		{"no line end at the end", header + "\r\nHola"},
		{"white space at the end", header + "\r\nHola \t"},
		{"empty lines at the start", header + "\r\n\r\n\r\nHola\r\n"},
		{"many empty lines", header + "\r\nHola" + strings.Repeat("\r\n", 300) + "Adiós\r\n"},
		{"white space lines between", header + "\r\nHola\r\n \r\n\t\r\n  Adiós\r\n"},
		{"fields twice", "To: a@example.net\r\nTO : b@example.net\r\n" + bulk},
		{"folded and odd", "References:\r\n\t<1@x>\r\n   <2@x>\r\nSENDER:\r\n b@example.com\r\n" + bulk},
		{"larger than the buffer", header + "\r\n" + strings.Repeat("Hola,  Luis \r\n\r\n", 10_000)},
		{"header larger than the buffer", "X-Long: " + strings.Repeat("a\r\n ", 20_000) + "b\r\n" + bulk},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			signed := sign(t, smtp.DKIM(rsaKey, edKey), test.text)
			verifications := verify(t, signed, rsaKey, edKey)
			require.Len(t, verifications, 2)
			for _, v := range verifications {
				require.NoError(t, v.Err)
				require.Equal(t, "example.com", v.Domain)
				require.Equal(t, date, v.Time.UTC())
			}
			for line := range strings.SplitSeq(signed[:len(signed)-len(test.text)], "\r\n") {
				require.LessOrEqual(t, len(line), 78)
			}
		})
	}
}

func TestDKIMSignsAgainTheSame(t *testing.T) {
	t.Parallel()
	rsaKey, edKey := bothKeys(t)
	signer := smtp.DKIM(rsaKey, edKey)
	first := sign(t, signer, bulk)
	for name, reader := range map[string]io.Reader{
		"at once":         strings.NewReader(bulk),
		"octet by octet":  iotest.OneByteReader(strings.NewReader(bulk)),
		"end with octets": iotest.DataErrReader(strings.NewReader(bulk)),
	} {
		header, err := signer.Sign(t.Context(), &smtp.Message{Date: date}, reader)
		require.NoError(t, err)
		require.Equal(t, first, string(header)+bulk, name)
	}
}

// TestDKIMCoversUnsubscribe holds RFC 8058, section 4: nobody changes, removes or
// adds one of the two fields unnoticed.
func TestDKIMCoversUnsubscribe(t *testing.T) {
	t.Parallel()
	rsaKey, edKey := bothKeys(t)
	signed := sign(t, smtp.DKIM(rsaKey, edKey), bulk)
	for _, v := range verify(t, signed, rsaKey, edKey) {
		require.Contains(t, v.HeaderKeys, "List-Unsubscribe")
		require.Contains(t, v.HeaderKeys, "List-Unsubscribe-Post")
	}
	for _, name := range []string{
		"From", "Reply-To", "To", "Cc", "Subject", "Date", "MIME-Version", "Content-Type",
		"List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID",
	} {
		for _, v := range verify(t, name+": <https://malo.example>\r\n"+signed, rsaKey, edKey) {
			require.Errorf(t, v.Err, "%s added", name)
		}
	}
	for _, change := range []*strings.Replacer{
		strings.NewReplacer("t.example.com/u/1", "malo.example/u/1"),
		strings.NewReplacer("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", ""),
		strings.NewReplacer("Un saludo", "Un salud0"),
	} {
		for _, v := range verify(t, change.Replace(signed), rsaKey, edKey) {
			require.Error(t, v.Err)
		}
	}
}

func TestDKIMLeavesListsRoom(t *testing.T) {
	t.Parallel()
	_, key := bothKeys(t)
	signed := sign(t, smtp.DKIM(key), "List-Post: <mailto:lista@example.com>\r\n"+bulk)
	require.NoError(t, verify(t, "List-Unsubscribe: <https://lista.example>\r\n"+signed, key)[0].Err)
	require.Error(t, verify(t, "Subject: [lista] Hola\r\n"+signed, key)[0].Err)
}

// TestDKIMThroughRelay has what arrives at a server verified, however it came.
func TestDKIMThroughRelay(t *testing.T) {
	t.Parallel()
	rsaKey, edKey := bothKeys(t)
	dots := strings.Replace(bulk, "Un saludo.", ".\r\n..\r\n\tUn salúdo. ", 1)
	for name, without := range map[string][]string{
		"BDAT": nil,
		"DATA": {"CHUNKING"},
		"bare": {"CHUNKING", "PIPELINING", "8BITMIME"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.NewServer(&smtptest.Options{Without: without})
			defer server.Close()
			relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{
				TLSConfig: server.ClientTLS(),
				Signer:    smtp.DKIM(rsaKey, edKey),
			})
			require.NoError(t, err)
			defer func() { _ = relay.Close() }()
			for _, text := range []string{bulk, strings.ReplaceAll(bulk, "\r\n", "\n"), dots} {
				m := message("luis@example.net")
				m.Content, m.Date = smtp.Bytes([]byte(text)), date
				if _, err := relay.Send(t.Context(), m); name == "bare" && text == dots {
					require.ErrorIs(t, err, smtp.ErrNeed8Bit)
					continue
				}
				messages := server.Messages()
				for _, v := range verify(t, string(messages[len(messages)-1].Data), rsaKey, edKey) {
					require.NoError(t, v.Err)
				}
			}
			require.Contains(t, string(server.Messages()[0].Data), sign(t, smtp.DKIM(rsaKey, edKey), bulk))
		})
	}
}

func TestDKIMTakesAHeaderAlone(t *testing.T) {
	t.Parallel()
	_, key := bothKeys(t)
	header := bulk[:strings.Index(bulk, "\r\n\r\n")+2]
	require.Equal(t, sign(t, smtp.DKIM(key), header+"\r\n"), sign(t, smtp.DKIM(key), header)+"\r\n")
}

func TestDKIMWithoutKeysSignsNothing(t *testing.T) {
	t.Parallel()
	header, err := smtp.DKIM().Sign(t.Context(), &smtp.Message{}, strings.NewReader(bulk))
	require.NoError(t, err)
	require.Empty(t, header)
}

func TestDKIMDatesWithNow(t *testing.T) {
	t.Parallel()
	_, key := bothKeys(t)
	header, err := smtp.DKIM(key).Sign(t.Context(), &smtp.Message{}, strings.NewReader(bulk))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), verify(t, string(header)+bulk, key)[0].Time, time.Minute)
}

func TestDKIMRefusesBrokenMessages(t *testing.T) {
	t.Parallel()
	_, key := bothKeys(t)
	tests := []struct{ name, text, want string }{
		{"no From", "To: luis@example.net\r\n\r\nHola\r\n", "no From field"},
		{"no header", "\r\nHola\r\n", `header line "" has no field name`},
		{"no name", "From: a@example.com\r\nHola\r\n\r\n", `header line "Hola" has no field name`},
		{"space in the name", "From x: a@example.com\r\n\r\n", `"From x: a@example.com" has no field name`},
		{"folded first line", " a: b\r\nFrom: a@example.com\r\n\r\n", "has no field name"},
		{"endless header", "X: " + strings.Repeat("a", 2<<20), "header longer than 1048576 octets"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := smtp.DKIM(key).Sign(t.Context(), &smtp.Message{}, strings.NewReader(test.text))
			require.ErrorIs(t, err, smtp.ErrBadContent)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestDKIMReportsReadErrors(t *testing.T) {
	t.Parallel()
	_, key := bothKeys(t)
	broken := errors.New("disco roto")
	for _, text := range []string{"From: ana", bulk} {
		content := io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))
		_, err := smtp.DKIM(key).Sign(t.Context(), &smtp.Message{}, content)
		require.ErrorIs(t, err, broken)
	}
}

func TestParseDKIMKey(t *testing.T) {
	t.Parallel()
	rsaKey, edKey := testKeys()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	encode := func(kind string, der []byte) []byte {
		return append([]byte("texto\n"), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		return encode("PRIVATE KEY", der)
	}
	locked := pem.EncodeToMemory(&pem.Block{
		Type:    "RSA PRIVATE KEY",
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"},
	})
	tests := []struct {
		name             string
		domain, selector string
		pem              []byte
		want             string // in the error, or the start of the record
	}{
		{"RSA in PKCS 1", "example.com", "s1", encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "v=DKIM1; k=rsa; p=MIIBIjAN"},
		{"RSA in PKCS 8", "example.com", "s1", pkcs8(rsaKey), "v=DKIM1; k=rsa; p=MIIBIjAN"},
		{"Ed25519", "Ñandú.example", "a.b", pkcs8(edKey), "v=DKIM1; k=ed25519; p=O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="},
		{"behind other blocks", "example.com", "s1", append(encode("CERTIFICATE", nil), pkcs8(edKey)...), "v=DKIM1; k=ed25519;"},
		{"weak", "example.com", "s1", pkcs8(weak), "an RSA key of 1024 bits is weak: use 2048"},
		{"curve", "example.com", "s1", pkcs8(curve), "a *ecdsa.PublicKey is of no use"},
		{"locked", "example.com", "s1", locked, "decrypt it first"},
		{"locked in PKCS 8", "example.com", "s1", encode("ENCRYPTED PRIVATE KEY", nil), "decrypt it first"},
		{"no key", "example.com", "s1", []byte("hola"), "no PEM block with a private key"},
		{"broken key", "example.com", "s1", encode("PRIVATE KEY", []byte{1}), "DKIM key of example.com"},
		{"bad domain", "example..com", "s1", pkcs8(edKey), `domain "example..com"`},
		{"bad selector", "example.com", "s 1", pkcs8(edKey), `selector "s 1"`},
		{"empty selector", "example.com", "", pkcs8(edKey), `selector ""`},
		{"injection", "example.com", "s; l=0", pkcs8(edKey), `selector "s; l=0"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := smtp.ParseDKIMKey(test.domain, test.selector, test.pem)
			if err != nil {
				require.ErrorContains(t, err, test.want)
				return
			}
			require.Truef(t, strings.HasPrefix(key.Record(), test.want), key.Record())
		})
	}
}

// remote is a key in a hardware module that has gone away.
type remote struct{ public crypto.PublicKey }

var errGone = errors.New("module is gone")

func (r remote) Public() crypto.PublicKey { return r.public }

func (r remote) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errGone }

func TestDKIMKeyElsewhere(t *testing.T) {
	t.Parallel()
	rsaKey, _ := testKeys()
	key := dkimKey(t, "2026", remote{rsaKey.Public()})
	_, err := smtp.DKIM(key).Sign(t.Context(), &smtp.Message{}, strings.NewReader(bulk))
	require.ErrorIs(t, err, errGone)
	require.ErrorContains(t, err, "2026._domainkey.example.com")

	huge := new(big.Int).Lsh(big.NewInt(1), 8191)
	_, err = smtp.NewDKIMKey("example.com", "2026", remote{&rsa.PublicKey{N: huge, E: 65537}})
	require.ErrorContains(t, err, "verifiers need not take an RSA key of 8192 bits")
}

func TestDKIMRecordName(t *testing.T) {
	t.Parallel()
	_, key := testKeys()
	k, err := smtp.NewDKIMKey("Ñandú.example", "2026", key)
	require.NoError(t, err)
	require.Equal(t, "2026._domainkey.xn--and-6ma2c.example", k.RecordName())
}

// FuzzDKIM has go-msgauth verify whatever we sign, and our canonical form be
// deaf to how the message is cut into reads.
func FuzzDKIM(f *testing.F) {
	f.Add("Subject: Hola\r\n mundo\r\nX : y", "Hola,  Luis \r\n\r\n\t\r\n", uint8(3))
	f.Add("List-Post: x", " \r\n", uint8(1))
	_, key := bothKeys(f)
	signer := smtp.DKIM(key)
	f.Fuzz(func(t *testing.T, header, body string, cut uint8) {
		crlf := strings.NewReplacer("\r\n", "\r\n", "\r", "", "\n", "\r\n")
		text := "From: ana@example.com\r\n" + crlf.Replace(header) + "\r\n\r\n" + crlf.Replace(body)
		content := &pieces{text: text, size: int(cut) + 1}
		signature, err := signer.Sign(t.Context(), &smtp.Message{Date: date}, content)
		if err != nil {
			require.ErrorIs(t, err, smtp.ErrBadContent)
			return
		}
		require.Equal(t, sign(t, signer, text), string(signature)+text)
		for _, v := range verify(t, string(signature)+text, key) {
			if v.Domain == "example.com" {
				require.NoError(t, v.Err)
			}
		}
	})
}

// pieces reads a text in pieces of one size.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// TestDKIMJudges has other implementations verify our signatures. The command
// FRANQUEO_DKIM_ORACLE takes the name of a message and prints verdicts; the
// folder FRANQUEO_DKIM_KEYS holds s1.pem and s2.pem, the keys of app.test, RSA
// and Ed25519.
func TestDKIMJudges(t *testing.T) {
	t.Parallel()
	oracle, folder := peer(t, "FRANQUEO_DKIM_ORACLE"), peer(t, "FRANQUEO_DKIM_KEYS")
	tests := []struct {
		selectors []string
		want      []string
	}{
		{[]string{"s1"}, []string{"signature ok", "app.test/s1/rsa-sha256=pass", "app.test/rsa-sha256:pass aligned"}},
		{[]string{"s2"}, []string{"signature ok", "app.test/ed25519-sha256:pass aligned"}},
		{[]string{"s1", "s2"}, []string{"signature ok", "rsa-sha256=pass", "app.test/rsa-sha256:pass aligned,app.test/ed25519-sha256:pass aligned"}},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.selectors, " "), func(t *testing.T) {
			t.Parallel()
			verdicts := judge(t, oracle, readKeys(t, folder, test.selectors))
			for _, want := range test.want {
				require.Contains(t, verdicts, want)
			}
		})
	}
}

func readKeys(t *testing.T, folder string, selectors []string) []*smtp.DKIMKey {
	var keys []*smtp.DKIMKey
	for _, selector := range selectors {
		data, err := os.ReadFile(filepath.Join(folder, selector+".pem"))
		require.NoError(t, err)
		key, err := smtp.ParseDKIMKey("app.test", selector, data)
		require.NoError(t, err)
		keys = append(keys, key)
	}
	return keys
}

// judge signs a message and gives the verdicts on it.
func judge(t *testing.T, oracle string, keys []*smtp.DKIMKey) string {
	text := strings.ReplaceAll(bulk, "example.com", "app.test")
	header, err := smtp.DKIM(keys...).Sign(t.Context(), &smtp.Message{}, strings.NewReader(text))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "signed.eml")
	require.NoError(t, os.WriteFile(path, append(header, text...), 0o600))
	command := strings.Fields(oracle)
	verdicts, err := exec.CommandContext(t.Context(), command[0], append(command[1:], path)...).CombinedOutput()
	require.NoError(t, err, string(verdicts))
	return string(verdicts)
}

func ExampleDKIM() {
	key, err := smtp.ParseDKIMKey("example.com", "2026", []byte(examplePEM))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("publish:", key.RecordName(), "TXT", key.Record())

	signer := smtp.DKIM(key) // for RelayOptions.Signer or DirectOptions.Signer
	text := "From: ana@example.com\r\nSubject: Hola\r\n\r\nHola, Luis.\r\n"
	m := &smtp.Message{Date: time.Unix(1795435200, 0)}
	header, err := signer.Sign(context.Background(), m, strings.NewReader(text))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(strings.ReplaceAll(string(header), "\r\n", "\n"))
	// Output:
	// publish: 2026._domainkey.example.com TXT v=DKIM1; k=ed25519; p=O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=
	// DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; t=1795435200;
	//  d=example.com; s=2026;
	//  h=From:From:Reply-To:To:Cc:Subject:Subject:Date:MIME-Version:
	//  Content-Type:List-Unsubscribe:List-Unsubscribe-Post:Feedback-ID;
	//  bh=aaS57l/w5DPk+APFSw0xpCI1/KRYk95RLthkVj3Kp4M=;
	//  b=9OTx+VCLk0KB8s29s1A6eigfU3sYmyKza8etWqPuTRSqgLwWkeSfaGPs6J2syscisiSnDNNN
	//  GbV/fPLKY7SABQ==
}

// Each tenant signs with its own key.
func ExampleSignerFunc() {
	signers := map[string]smtp.Signer{}
	for tenant, domain := range map[string]string{"uno": "uno.example", "dos": "dos.example"} {
		key, err := smtp.ParseDKIMKey(domain, "2026", []byte(examplePEM))
		if err != nil {
			fmt.Println(err)
			return
		}
		signers[tenant] = smtp.DKIM(key)
	}
	byTenant := smtp.SignerFunc(func(ctx context.Context, m *smtp.Message, content io.Reader) ([]byte, error) {
		signer, ok := signers[m.Tenant]
		if !ok {
			return nil, fmt.Errorf("no DKIM key for tenant %q", m.Tenant)
		}
		return signer.Sign(ctx, m, content)
	})
	header, err := byTenant.Sign(context.Background(), &smtp.Message{Tenant: "dos"}, strings.NewReader(bulk))
	fmt.Println(strings.Contains(string(header), "d=dos.example;"), err)
	_, err = byTenant.Sign(context.Background(), &smtp.Message{Tenant: "tres"}, strings.NewReader(bulk))
	fmt.Println(err)
	// Output:
	// true <nil>
	// no DKIM key for tenant "tres"
}

const examplePEM = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
-----END PRIVATE KEY-----
`

func BenchmarkDKIM(b *testing.B) {
	rsaPrivate, edPrivate := testKeys()
	rsaKey, edKey := bothKeys(b)
	for _, size := range []int{10, 165} {
		text := bulk + strings.Repeat("Una línea de texto como las hay en las cartas, con sus espacios.\r\n", size<<10/67)
		for _, test := range []struct {
			name string
			keys []*smtp.DKIMKey
		}{
			{"RSA", []*smtp.DKIMKey{rsaKey}},
			{"Ed25519", []*smtp.DKIMKey{edKey}},
			{"both", []*smtp.DKIMKey{rsaKey, edKey}},
		} {
			b.Run(fmt.Sprintf("%s/%dKiB", test.name, size), func(b *testing.B) {
				benchmarkSigner(b, smtp.DKIM(test.keys...), text)
			})
		}
		for name, key := range map[string]crypto.Signer{"RSA": rsaPrivate, "Ed25519": edPrivate} {
			b.Run(fmt.Sprintf("go-msgauth-%s/%dKiB", name, size), func(b *testing.B) {
				benchmarkSigner(b, msgauthSigner(key), text)
			})
			b.Run(fmt.Sprintf("bare-%s/%dKiB", name, size), func(b *testing.B) {
				benchmarkSigner(b, bareSigner(key), text)
			})
		}
	}
}

// BenchmarkDKIMParallel shows that signing holds no lock: compare -cpu 1,2.
func BenchmarkDKIMParallel(b *testing.B) {
	rsaKey, _ := bothKeys(b)
	signer, m, content := smtp.DKIM(rsaKey), &smtp.Message{Date: date}, []byte(bulk)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := signer.Sign(b.Context(), m, bytes.NewReader(content)); err != nil {
				b.Error(err)
			}
		}
	})
}

func benchmarkSigner(b *testing.B, signer smtp.Signer, text string) {
	m := &smtp.Message{Date: date}
	content := []byte(text)
	b.ReportAllocs()
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := signer.Sign(b.Context(), m, bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}

// msgauthSigner is go-msgauth with the same canonical form.
func msgauthSigner(key crypto.Signer) smtp.Signer {
	return smtp.SignerFunc(func(_ context.Context, _ *smtp.Message, content io.Reader) ([]byte, error) {
		s, err := dkim.NewSigner(&dkim.SignOptions{
			Domain: "example.com", Selector: "s", Signer: key,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed,
			BodyCanonicalization:   dkim.CanonicalizationRelaxed,
		})
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(s, content); err != nil {
			return nil, err
		}
		if err := s.Close(); err != nil {
			return nil, err
		}
		return []byte(s.Signature()), nil
	})
}

// bareSigner only hashes and signs.
func bareSigner(key crypto.Signer) smtp.Signer {
	return smtp.SignerFunc(func(_ context.Context, _ *smtp.Message, content io.Reader) ([]byte, error) {
		h := crypto.SHA256.New()
		if _, err := io.Copy(h, content); err != nil {
			return nil, err
		}
		opts := crypto.SHA256
		if _, ok := key.(ed25519.PrivateKey); ok {
			opts = 0
		}
		return key.Sign(rand.Reader, h.Sum(nil), opts)
	})
}

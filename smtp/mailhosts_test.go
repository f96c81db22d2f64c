package smtp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

func TestMailHosts(t *testing.T) {
	t.Parallel()
	d := direct(t, newZone(t,
		"empresa.test. 60 IN MX 20 b.proveedor.test.", "empresa.test. 60 IN MX 10 a.proveedor.test.",
		"solo.test. 60 IN A 8.8.4.1",
		"nulo.test. 60 IN MX 0 .",
	), smtp.DirectOptions{})
	for domain, want := range map[string][]string{
		"Empresa.test": {"a.proveedor.test", "b.proveedor.test"},
		"solo.test":    {"solo.test"},
		"[192.0.2.1]":  {"[192.0.2.1]"},
	} {
		hosts, err := d.MailHosts(t.Context(), domain)
		require.NoError(t, err)
		require.Equal(t, want, hosts)
	}
	_, err := d.MailHosts(t.Context(), "nulo.test")
	require.ErrorIs(t, err, smtp.ErrNullMX)
	_, err = d.MailHosts(t.Context(), "a..b")
	require.ErrorIs(t, err, smtp.ErrBadAddress)
}

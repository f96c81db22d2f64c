package bounce_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

// TestProse reads the ways in which servers without delivery reports speak: no
// text is of one agent alone.
func TestProse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // address, or address and code
	}{
		{"list", "Delivery to the following recipients failed.\n\n       ana@example.net\n       luis@example.org\n", []string{"ana@example.net", "luis@example.org"}},
		{"headed list", "------ Failed addresses follow: ------\n<ana@example.net>\n\n------ Message text follows: ------\nReceived: by x\nFrom: b@example.com\nMessage-ID: <1@example.com>\n\nHi", []string{"ana@example.net"}},
		{"bullet", "Delivery to the following recipients was aborted after 6 second(s):\n\n  * ana@example.net\n\nThe mail server.", []string{"ana@example.net"}},
		{"reason before", "User mailbox exceeds allowed size: ana@example.net\n", []string{"ana@example.net"}},
		{"unknown before", "unknown user: ana@example.net\n\n", []string{"ana@example.net"}},
		{"undeliverable to", "undeliverable to ana@example.net\n", []string{"ana@example.net"}},
		{"account", "No account by that name here: ana@example.net\n", []string{"ana@example.net"}},
		{"with a reply", "Your message could not be delivered.\n\n<ana@example.net>: 550 5.1.1 No such user\n", []string{"ana@example.net 550"}},
		{"reply below", "<ana@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: 552 5.2.2 Mailbox full\nGiving up on 192.0.2.1.\n", []string{"ana@example.net 552"}},
		{"reply above", "Could not be delivered because of\n\n550 5.1.1 User unknown\n\nThe following recipients were affected:\n    ana@example.net\n\nAdditional Information\n", []string{"ana@example.net 550"}},
		{"destination", "The following destination addresses were unknown (please check\nthe addresses and re-mail the message):\n\nSMTP <ana@example.net>\n\nPlease reply to Postmaster@mx.example.org\nif you feel this message to be in error.\n", []string{"ana@example.net"}},
		{"field style", "Failed Recipient: ana@example.net\nReason: Remote host said: 550 User unknown\n\n   -- The header and top 20 lines of the message follows --\n\nReceived: by x\nFrom: b@example.com\nMessage-ID: <1@example.com>\n", []string{"ana@example.net 550"}},
		{"module", "Failed to deliver to '<ana@example.net>'\nSMTP module(domain example.net) reports:\n host mx.example.net says:\n 550 5.1.1 unknown user\n", []string{"ana@example.net 550"}},
		{"session", "The attached message could not be delivered.\n\nMon 2024-06-10 10:00:00: --> RCPT To:<ana@example.net>\nMon 2024-06-10 10:00:01: <-- 550 5.1.1 <ana@example.net>... User unknown\n", []string{"ana@example.net 550"}},
		{"bracketed", "[<00>] Mail bounce: Rcpt=[ana@example.net];Error=[550 <ana@example.net> User unknown]\n", []string{"ana@example.net 550"}},
		{"gateway", "The message could not be delivered to:\n\n  [SMTP:ana@example.net]\n", []string{"ana@example.net"}},
		{"transcript", "   ----- Transcript of session follows -----\n... while talking to mx.example.net.:\n>>> RCPT To:<ana@example.net>\n<<< 550 <ana@example.net>... User unknown\n550 <ana@example.net>... User unknown\n\n   ----- Unsent message follows -----\nReceived: by x\nFrom: hola@example.com\nTo: ana@example.net, bea@example.net\n", []string{"ana@example.net 550"}},
		{"two fates", "The following addresses had delivery problems:\n\n<ana@example.net>   (unrecoverable error)\n550 5.1.1 <ana@example.net>... User unknown\n\n<luis@example.org>   (transient failure)\n452 4.2.2 <luis@example.org>... Mailbox full\n", []string{"ana@example.net 550", "luis@example.org 452"}},
		{"sentence", "Your message to ana@example.net was rejected because the mailbox is full.\n", []string{"ana@example.net"}},
		{"address is invalid", "The e-mail address ana@example.net is invalid. Please contact postmaster@example.org.\n", []string{"ana@example.net"}},
		{"quoted", "Delivery of email to this address\n\"ana@example.net\"\nhas failed due to a full mailbox.\n", []string{"ana@example.net"}},
		{"Spanish", "No se pudo entregar su mensaje a los siguientes destinatarios:\n\n    ana@example.net\n\nEl buzón está lleno.\n", []string{"ana@example.net"}},
		{"French", "Votre message n'a pas pu être remis au destinataire suivant :\n\n  ana@example.net\n", []string{"ana@example.net"}},
		{"German", "Ihre Nachricht an <ana@example.net> konnte nicht zugestellt werden.\n", []string{"ana@example.net"}},
		{"Portuguese", "Sua mensagem nao pode ser entregue para os destinatarios abaixo:\n\nana@example.net\n", []string{"ana@example.net"}},
		{"because", "Your message\n\n  Subject: Oferta\n\nwas not delivered to:\n\n  ana@example.net\n\nbecause:\n\n  User ana (ana@example.net) not listed in public Name & Address Book\n", []string{"ana@example.net"}},
		{"your message to", "Your Message\nTo:      <ana@example.net>\nSubject: Hola\nDate:    Thu, 29 Apr 2007 23:34:45 +0000\n\nDid not reach the following recipient: ana@example.net\n", []string{"ana@example.net"}},
		{"size", "This message exceeds the maximum message size for ana@example.net and was returned.\nMessage size rejected.\n", []string{"ana@example.net"}},
		{"comma list", "The following recipients did not receive this message:\n<ana@example.net>, <luis@example.org>\n", []string{"ana@example.net", "luis@example.org"}},
		{"error report", "Error: ana@example.net: Mailbox quota exceeded\n", []string{"ana@example.net"}},
		{"table", "Recipient                      Status\n-------------------------------------\nana@example.net                550 unknown user\n", []string{"ana@example.net 550"}},
		{"forwarded", "550 5.1.1 Mailbox unknown (expanded from: <equipo@example.com>): <ana@example.net>\n", []string{"ana@example.net 550"}},
		{"help line last", "Sorry, your message to ana@example.net cannot be delivered. This account is over quota.\n\nFor help contact help@provider.example or write to abuse@provider.example.\n", []string{"ana@example.net"}},
		{"not these", "Your message from hola@example.com to ana@example.net was refused.\nSender: hola@example.com\n", []string{"ana@example.net"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mail := "Return-Path: <>\nFrom: Mail Delivery Subsystem <MAILER-DAEMON@mx.example.org>\nTo: hola@example.com\nSubject: Returned mail\n\n" + tt.text
			report, err := bounce.Parse(strings.NewReader(mail))
			require.NoError(t, err)
			require.Equal(t, bounce.KindBounce, report.Kind)
			var got []string
			for _, r := range report.Recipients {
				s := r.Final
				if r.Reply.Code != 0 {
					s += " " + strconv.Itoa(r.Reply.Code)
				}
				got = append(got, s)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// TestProseOrdinal has letters of Latin-1 that have no plain form.
func TestProseOrdinal(t *testing.T) {
	report, err := bounce.Parse(strings.NewReader("Return-Path: <>\nFrom: MAILER-DAEMON@example.com\nSubject: failure notice\n\n<ana@example.net>:\n550 aª vez: usuario º desconocido\n"))
	require.NoError(t, err)
	require.Equal(t, 550, report.Recipients[0].Reply.Code)
}

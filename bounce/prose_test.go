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
		{"failure reasons", "------- Failure Reasons  --------\n\nUser not listed in public Name & Address Book\nana@example.net\n\n------- Returned Message --------\nReceived: by x\nFrom: b@example.com\nMessage-ID: <1@example.com>\n", []string{"ana@example.net"}},
		{"attempts", "Your message could not be sent.\nA transcript of the attempts to send the message follows.\nThe number of attempts made: 1\nAddressed To: ana@example.net\n\nThu 29 Apr 2010 23:34:45 +0900\nFailed to send to identified host,\nana@example.net: [192.0.2.5], 550 ana@example.net... No such user\n--- Message non-deliverable.\n", []string{"ana@example.net 550"}},
		{"generating server", "Delivery has failed to these recipients or distribution lists:\n\nana@example.net\nThe e-mail address you entered couldn't be found.\n\nDiagnostic information for administrators:\n\nGenerating server: mail.example.net\n\nana@example.net\n#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\n\nOriginal message headers:\n\nReceived: from x by y\nFrom: b@example.com\nMessage-ID: <1@example.com>\n", []string{"ana@example.net 550"}},
		{"status in brackets", "Diagnostic information for administrators:\n\nGenerating server: mail.example.net\n\nana@example.net\nmx.example.net #<mx.example.net #5.1.1 smtp;550 5.1.1 User unknown> #SMTP#\n", []string{"ana@example.net 550"}},
		{"processed", "These recipients of your message have been processed by the mail server:\nana@example.net; Failed; 5.1.1 (bad destination mailbox address)\n\n    Remote MTA mx.example.net: SMTP diagnostic: 550 unknown user\n", []string{"ana@example.net 550"}},
		{"invalid receiver", "Your message could not be delivered.\n\nInvalid receiver address: ana@example.net\n\n--- Returned message ---\n\nReceived: by x\nFrom: b@example.com\nMessage-ID: <1@example.com>\n", []string{"ana@example.net"}},
		{"group server", "The message that you sent was undeliverable to the following:\n\tana@example.net (user not found)\n\nPossibly truncated original message follows:\n\nReceived: by x\nFrom: b@example.com\nMessage-ID: <1@example.com>\n", []string{"ana@example.net"}},
		{"names alone", "The message that you sent was undeliverable to the following:\n\tana (user not found)\n\nReceived: by x\nFrom: b@example.com\nTo: ana@example.net, luis@example.org\nMessage-ID: <1@example.com>\n", []string{"ana@example.net"}},
		{"names of the domain", "Your mail to the following recipients could not be delivered because they are not accepting mail from hola@example.com:\n\tana\n", []string{"ana@example.org"}},
		{"due to", "This Message was undeliverable due to the following reason:\n\nThe user(s) account is temporarily over quota.\n\n<ana@example.net>\n\nPlease reply to Postmaster@mx.example.org\nif you feel this message to be in error.\n", []string{"ana@example.net"}},
		{"here is your list", "Here is your list of failed recipients:\n\n<ana@example.net>\n\nHere is your returned mail:\n\nReceived: by x\nFrom: b@example.com\nMessage-ID: <1@example.com>\n", []string{"ana@example.net"}},
		{"sorry for the reason", "Sorry, unable to deliver your message to ana@example.net for the following reason: mailbox is full\n", []string{"ana@example.net"}},
		{"could not reach", "The following recipients could not be reached:\n\n      'ana@example.net' on 29/04/2010 23:34\n            The e-mail account does not exist at the organization this message was sent to.\n            <mail.example.net #5.1.1>\n", []string{"ana@example.net"}},
		{"module between", "----- The following addresses had delivery problems -----\n<ana@example.net>   (User unknown)\n\n----- Transcript of Session -----\n550 5.1.1 user unknown\n", []string{"ana@example.net 550"}},
		{"mail with two words", "Message could not be delivered to: ana@example.net, luis@example.org\nReason: no such users\n", []string{"ana@example.net", "luis@example.org"}},
		{"indented error", "Recipient: ana@example.net\n    Error: 550 mailbox unavailable\n\nRecipient: luis@example.org\n    Error: 552 mailbox full\n", []string{"ana@example.net 550", "luis@example.org 552"}},
		{"address last", "550 5.1.1 User unknown: ana@example.net\n", []string{"ana@example.net 550"}},
		{"given up", "I wasn't able to deliver your message to <ana@example.net>.\nCould not deliver for the last 432000 seconds. Giving up.\n", []string{"ana@example.net"}},
		{"Exim in Spanish", "Este mensaje ha sido creado automáticamente por el software de entrega de correo.\n\nUn mensaje que usted envió no pudo ser entregado a uno o más destinatarios.\n\n  ana@example.net\n    SMTP error from remote mail server after RCPT TO:<ana@example.net>:\n    host mx.example.net [192.0.2.1]: 550 Usuario desconocido\n", []string{"ana@example.net 550"}},
		{"code in words", "Error 550 was returned for the recipient ana@example.net: unknown user\n", []string{"ana@example.net 550"}},
		{"angle with comment", "<ana@example.net> (reason: 550 5.1.1 unknown)\n", []string{"ana@example.net 550"}},
		{"not the reporter", "This is an automated message from postmaster@mx.example.org.\nThe mail system could not deliver your mail to ana@example.net.\nIf you have questions write to soporte@mx.example.org.\n", []string{"ana@example.net"}},
		{"failure at the end of a line", "The following address does not exist on this server: ana@example.net\nReply to postmaster@example.org for help.\n", []string{"ana@example.net"}},
		{"expanded", "The following addresses had permanent fatal errors -----\n<ana@example.net>\n    (expanded from: <equipo@example.com>)\n\n   ----- Transcript of session follows -----\n550 <ana@example.net>... User unknown\n", []string{"ana@example.net 550"}},
		{"HTML text", "Mail could not be delivered to the following recipient(s): <br>\nana@example.net<br>\n", []string{"ana@example.net"}},
		{"original recipient in the returned header", "Your message could not be delivered: mailbox full.\n\n--- Original message follows ---\n\nReceived: from a by b for <ana@example.net>; Thu, 1 Apr 2010 10:00:00 +0000\nFrom: hola@example.com\nTo: undisclosed-recipients:;\nMessage-ID: <1@example.com>\n", []string{"ana@example.net"}},
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

// TestProseExpanded has addresses that another one led to.
func TestProseExpanded(t *testing.T) {
	for _, tt := range []struct{ name, text, original string }{
		{"exim", "  ana@example.net\n    (generated from equipo@example.com)\n    550 5.1.1 No such user\n", "equipo@example.com"},
		{"postfix", "<ana@example.net> (expanded from <equipo@example.com>): host mx.example.net said: 550 5.1.1 No such user\n", "equipo@example.com"},
		{"sendmail", "<ana@example.net>\n    (reason: 550 5.1.1 No such user)\n    (expanded from: <equipo@example.com>)\n", "equipo@example.com"},
		{"to itself", "<ana@example.net> (expanded from <Ana@example.net>): 550 5.1.1 No such user\n", ""},
		{"another's", "<ana@example.net> (see equipo@example.com): 550 5.1.1 No such user\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report, err := bounce.Parse(strings.NewReader("Return-Path: <>\nFrom: MAILER-DAEMON@example.com\nSubject: failure notice\n\n" + tt.text))
			require.NoError(t, err)
			require.Len(t, report.Recipients, 1)
			require.Equal(t, "ana@example.net", report.Recipients[0].Final)
			require.Equal(t, tt.original, report.Recipients[0].Original)
			require.Equal(t, bounce.Hard, report.Recipients[0].Verdict)
		})
	}
}

// TestProseLanguages has reports without a reply, which only their language tells.
func TestProseLanguages(t *testing.T) {
	for _, tt := range []struct {
		name, subject, text string
		kind                bounce.Kind
		reason              bounce.Reason
	}{
		{"spanish", "Entrega fallida", "Su mensaje no pudo ser entregado a:\n\n  ana@example.net\n    El usuario no existe\n", bounce.KindBounce, bounce.BadMailbox},
		{"spanish delay", "Aviso: mensaje retrasado 24 horas", "Su mensaje todavía no ha podido ser entregado a este destinatario:\n\n  ana@example.net\n    Buzón lleno\n\nSe seguirá intentando.\n", bounce.KindDelay, bounce.MailboxFull},
		{"german", "Unzustellbar", "Ihre Nachricht konnte an folgende Empfänger nicht zugestellt werden:\n\nana@example.net\n\nGrund: Das Postfach ist voll.\n", bounce.KindBounce, bounce.MailboxFull},
		{"german delay", "Verzögerte Zustellung", "Ihre Nachricht konnte bisher nicht zugestellt werden an:\n\nana@example.net\nDas Postfach ist voll.\n", bounce.KindDelay, bounce.MailboxFull},
		{"french", "Échec de la remise", "Votre message n'a pas pu être remis au destinataire suivant :\n\nana@example.net\n\nMotif : l'adresse n'existe pas.\n", bounce.KindBounce, bounce.BadMailbox},
		{"italian", "Mancata consegna", "Non è stato possibile consegnare il messaggio al seguente destinatario:\n\nana@example.net\n\nMotivo: utente sconosciuto\n", bounce.KindBounce, bounce.BadMailbox},
		{"polish", "Nie dostarczono", "Wiadomość nie mogła zostać dostarczona do następujących odbiorców:\n\nana@example.net\n  Użytkownik nie istnieje\n", bounce.KindBounce, bounce.BadMailbox},
		{"russian", "Письмо не доставлено", "Ваше письмо не может быть доставлено следующим получателям:\n\nana@example.net: почтовый ящик переполнен\n", bounce.KindBounce, bounce.MailboxFull},
		{"japanese", "メールエラー", "次のあて先へのメッセージはエラーのため送信できませんでした。\n\n送信先メールアドレスが見つかりません: ana@example.net\n", bounce.KindBounce, bounce.BadMailbox},
		{"chinese", "系统退信", "抱歉，您的邮件被退回来了。\n\n收件人：ana@example.net\n退信原因：收件人邮箱不存在。\n", bounce.KindBounce, bounce.BadMailbox},
		{"korean", "Undeliverable", "다음 수신자에게 메일을 전달하지 못했습니다.\n\nana@example.net : 존재하지 않는 사용자입니다.\n", bounce.KindBounce, bounce.BadMailbox},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report, err := bounce.Parse(strings.NewReader("Return-Path: <>\nFrom: MAILER-DAEMON@example.com\nSubject: " + tt.subject + "\nContent-Type: text/plain; charset=utf-8\n\n" + tt.text))
			require.NoError(t, err)
			require.Equal(t, tt.kind, report.Kind)
			require.Len(t, report.Recipients, 1)
			require.Equal(t, "ana@example.net", report.Recipients[0].Final)
			require.Equal(t, tt.reason, report.Recipients[0].Reason)
		})
	}
}

// TestProseOrdinal has letters of Latin-1 that have no plain form.
func TestProseOrdinal(t *testing.T) {
	report, err := bounce.Parse(strings.NewReader("Return-Path: <>\nFrom: MAILER-DAEMON@example.com\nSubject: failure notice\n\n<ana@example.net>:\n550 aª vez: usuario º desconocido\n"))
	require.NoError(t, err)
	require.Equal(t, 550, report.Recipients[0].Reply.Code)
}

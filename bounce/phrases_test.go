package bounce_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

// paraphrases are replies in the manner of servers of all kinds, written without
// looking at the rules.
var paraphrases = map[bounce.Reason][]string{
	bounce.BadMailbox: {
		"550 5.1.1 <ana@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
		"550 5.1.1 <ana@example.com>... User unknown",
		"550 No such user here",
		"550 ana@example.com: no such mailbox",
		"511 sorry, no mailbox here by that name (#5.1.1 - chkuser)",
		"550 Unknown recipient",
		"550 Invalid recipient ana@example.com (#5.1.1)",
		"550 5.1.1 The recipient's mailbox could not be found on this server",
		"550 User ana@example.com does not exist",
		"553 sorry, this recipient is not in my validrcptto list (#5.7.1)",
		"550 unrouteable address",
		"550 5.1.0 Address rejected ana@example.com",
		"550 5.1.1 ana@example.com is not a valid mailbox",
		"550 #5.1.0 Address rejected.",
		"550-Callout verification failed:\n550 550 5.1.1 User unknown",
		"550 5.2.1 This mailbox does not exist here",
		"554 5.7.1 <ana@example.com>: Recipient address rejected: user ana@example.com does not exist",
		"550 That user is not listed in our directory",
		"550 Account not found: ana",
		"550 Sorry, there is no user by that name here",
		"550 No such person at this address",
		"550 5.1.1 Email address could not be found, or was misspelled (G8)",
		"550 5.4.1 Recipient address rejected: Access denied [DB5EUR01FT031.eop-EUR01.prod.protection.outlook.com]",
		"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ana@example.com not found by SMTP address lookup",
		"550 Requested action not taken: mailbox unavailable",
		"550 Mailbox unavailable or not local",
		"550 The e-mail address you entered couldn't be found",
		"550 cannot find user ana@example.com",
		"550 5.1.1 Unknown or illegal alias: ana@example.com",
		"553 5.3.0 <ana@example.com>... Addressee unknown, relay=[192.0.2.1]",
		"550 We have no record of that account",
		"554 delivery error: dd This user doesn't have a yahoo.com account (ana@yahoo.com) [0] - mta1052.mail.bf1.yahoo.com",
		"550 Not our customer",
		"550 5.1.1 User Unknown (in reply to RCPT TO command)",
		"smtp; 550 5.1.1 <ana@example.com> recipient does not exist here",
		"550 El usuario no existe",
		"550 Buzón inexistente",
		"550 L'adresse du destinataire n'existe pas",
		"550 Utilisateur inconnu",
		"550 Der Benutzer ist hier nicht bekannt",
		"550 Empfänger unbekannt",
		"550 Utente sconosciuto",
		"550 Usuário desconhecido",
		"550 A caixa postal não existe",
		"550 Gebruiker onbekend",
		"550 Nie ma takiego użytkownika",
		"550 Пользователь не найден",
		"550 Такого пользователя нет",
		"550 用户不存在",
		"550 該当するユーザが見つかりません",
		"550 존재하지 않는 사용자입니다",
		"550 Uživatel neexistuje",
		"550 Kullanıcı bulunamadı",
	},
	bounce.BadDomain: {
		"550 Host unknown",
		"554 5.4.4 Unable to route: domain does not exist",
		"Host or domain name not found. Name service error for name=example.invalid type=MX: Host not found",
		"550 5.1.2 Bad destination system: no such domain",
		"556 5.1.10 Domain does not accept mail (nullMX)",
		"Sorry, I couldn't find any host named example.invalid. (#5.1.2)",
		"lookup example.invalid: no such host",
		"all relevant MX records point to non-existent hosts",
		"550 El dominio no existe",
	},
	bounce.MailboxDisabled: {
		"550 5.2.1 Mailbox disabled, not accepting messages",
		"550 Account has been suspended",
		"554 This account has been disabled",
		"550 5.2.1 The email account that you tried to reach is inactive",
		"550 User account deactivated",
		"550 This address no longer accepts mail.",
		"550 mailbox for ana is closed",
		"550 Account expired",
		"550 La cuenta está deshabilitada",
		"550 Le compte est désactivé",
		"550 Konto gesperrt",
		"550 Почтовый ящик заблокирован",
	},
	bounce.MailboxFull: {
		"452 4.2.2 Mailbox full",
		"552 5.2.2 Over quota",
		"550 ana@example.com Quota exceeded",
		"554 mailbox quota exceeded for this recipient",
		"552 Requested mail action aborted: exceeded storage allocation",
		"550 User has exceeded their disk quota",
		"422 4.2.2 The recipient's inbox is out of storage space",
		"552 5.2.2 The email account that you tried to reach is over quota",
		"550 Mailbox size limit exceeded",
		"452 not enough space in mailbox",
		"550 Buzón lleno",
		"552 Boîte aux lettres pleine",
		"552 Postfach voll",
		"552 Casella piena",
		"552 Caixa postal cheia",
		"552 Почтовый ящик переполнен",
		"552 邮箱空间不足",
	},
	bounce.MailboxMoved: {
		"551 User not local; please try <ana@example.net>",
		"550 5.1.6 Recipient has moved to another address",
		"550 User has left the company",
	},
	bounce.RecipientRefused: {
		"550 5.7.1 Your message was rejected by the recipient",
		"550 5.7.129 RESOLVER.RST.RestrictedToRecipientsPermission; not authorized to send to recipient",
		"550 You have been blocked by the recipient",
		"550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; restricted to members only",
		"550 This mailbox only accepts mail from known senders",
	},
	bounce.RateLimited: {
		"421 4.7.0 Too many connections from your IP",
		"450 4.7.1 Error: too much mail from 192.0.2.1",
		"421 4.4.5 Too many concurrent SMTP connections; please try again later",
		"451 4.7.1 Sending rate limit exceeded",
		"550 5.4.5 Daily user sending limit exceeded",
		"452 4.3.1 too many messages in this session",
		"421 Trop de connexions",
		"421 Demasiados mensajes, exceeded hourly limit",
		"450 slow down",
	},
	bounce.RecipientRate: {
		"450 4.2.1 The user you are trying to contact is receiving mail too quickly",
		"432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
	},
	bounce.Greylisted: {
		"450 4.2.0 <ana@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html",
		"451 4.7.1 Greylisting in action, please come back later",
		"421 You are greylisted for 60 seconds",
		"450 This message was greylisted, try again in 5 minutes",
	},
	bounce.TooManyRecipients: {
		"452 4.5.3 Too many recipients",
		"550 5.5.3 Too many recipients",
		"452 Recipient limit reached for this connection",
	},
	bounce.IPBlocked: {
		"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
		"550 5.7.1 Your IP address is on our block list",
		"554 Your IP 192.0.2.1 is blacklisted",
		"550 JunkMail rejected - mail.example.net [192.0.2.1]:4242 is in an RBL",
		"550 5.7.1 [192.0.2.1] Client host blocked",
		"553 Your mail server has been banned",
		"550 SC-001 (SNT004-MC2F3) Unfortunately, messages from 192.0.2.1 weren't sent",
		"554 5.7.1 Connection refused: 192.0.2.1 listed at bl.spamcop.net",
		"550 mailbox unavailable, your IP 192.0.2.1 was found in a DNSBL",
		"550 Su IP está en una lista negra",
	},
	bounce.LowReputation: {
		"554 Your access to this mail system has been rejected due to the sending MTA's poor reputation",
		"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints",
		"550 5.7.1 Message refused because of low domain reputation",
		"451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation",
	},
	bounce.SenderRejected: {
		"550 5.1.8 Sender address rejected: Domain not found",
		"553 5.1.8 <eva@example.net>... Domain of sender address eva@example.net does not exist",
		"550 Sender verify failed: user unknown",
		"554 5.7.1 <eva@example.net>: Sender address rejected: Access denied",
		"553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
		"550 We do not accept mail from this sender",
		"550 Bad sender address",
		"501 5.1.7 Invalid sender",
		"550 Remitente rechazado",
		"550 Absender abgelehnt",
	},
	bounce.SpamContent: {
		"554 5.7.1 Message rejected as spam",
		"550 5.7.1 This message has been classified as spam by our content filter",
		"552 5.2.0 Message blocked due to spam content",
		"550 High probability of spam",
		"554 Blocked: spam score 9.2 exceeds threshold",
		"550 Message contains a link listed in SURBL",
		"550 rejected by content filter as UCE",
		"554 疑似垃圾邮件",
	},
	bounce.Virus: {
		"554 5.7.1 Virus found: Eicar-Test-Signature",
		"550 This message contains malware",
		"552 Virus infected message rejected",
	},
	bounce.ContentRefused: {
		"552 5.7.0 This message was blocked because its content presents an illegal attachment",
		"550 5.6.0 Missing From header",
		"554 5.6.0 Message does not conform to RFC 5322: duplicate header",
		"550 Executable files are not allowed as attachments",
		"554 5.6.1 Body type not supported: 8bit data in header",
		"550 Message contains bare LF",
	},
	bounce.TooLarge: {
		"552 5.3.4 Message size exceeds fixed limit",
		"552 Message too large",
		"554 Message exceeds maximum size",
		"552 5.2.3 Message too big for system",
	},
	bounce.AuthFailed: {
		"550 5.7.26 Unauthenticated email from example.net is not accepted due to domain's DMARC policy",
		"550 SPF check failed",
		"550 5.7.20 No passing DKIM signature found",
		"554 5.7.5 Permanent error evaluating DMARC policy",
		"550 5.7.1 Email rejected per DMARC policy for example.net",
		"550 Reject due to SPF policy",
		"550 5.7.515 Access denied, sending domain example.net doesn't meet the required authentication level",
	},
	bounce.NoPTR: {
		"550 5.7.25 The IP address sending this message does not have a PTR record",
		"450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]",
		"554 No reverse DNS for your IP",
		"550 5.7.1 Helo command rejected: need fully-qualified hostname",
		"550 HELO name is invalid",
	},
	bounce.TLSRequired: {
		"530 5.7.0 Must issue a STARTTLS command first",
		"550 5.7.10 Encryption required",
		"451 4.7.5 TLS is required but was not offered",
	},
	bounce.RelayDenied: {
		"554 5.7.1 <ana@example.com>: Relay access denied",
		"550 5.7.1 Unable to relay",
		"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
		"550 relay not permitted",
		"550 We do not relay mail for that domain",
		"550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
	},
	bounce.AuthRequired: {
		"530 5.7.0 Authentication required",
		"535 5.7.8 Authentication credentials invalid",
		"550 5.7.1 Client was not authenticated",
		"553 You must authenticate before sending",
	},
	bounce.Network: {
		"connect to mx.example.com[192.0.2.1]:25: Connection timed out",
		"dial tcp 192.0.2.1:25: connect: connection refused",
		"dial tcp 192.0.2.1:25: i/o timeout",
		"lookup example.com: server misbehaving",
		"451 4.4.1 No answer from host",
		"lost connection with mx.example.com[192.0.2.1] while receiving the initial server greeting",
		"read tcp 192.0.2.9:4242->192.0.2.1:25: connection reset by peer",
		"Host or domain name not found. Name service error for name=example.com type=MX: Host not found, try again",
	},
	bounce.Loop: {
		"554 5.4.6 Too many hops",
		"554 5.4.0 Error: mail loop detected",
		"550 This message is looping: it already has my Delivered-To line. (#5.4.6)",
	},
	bounce.Expired: {
		"550 4.4.7 QUEUE.Expired; message expired",
		"delivery time expired",
		"550 retry timeout exceeded",
	},
	bounce.System: {
		"451 4.3.0 Temporary system problem. Try again later",
		"452 4.3.1 Insufficient system storage",
		"421 4.3.2 Service shutting down",
		"451 4.3.5 Server configuration error",
		"454 Temporary lookup failure",
		"451 Requested action aborted: local error in processing",
	},
	bounce.Protocol: {
		"503 5.5.1 Bad sequence of commands",
		"500 5.5.2 Syntax error, command unrecognized",
		"501 5.5.4 Invalid arguments",
	},
	bounce.Policy: {
		"550 5.7.1 Message rejected due to local policy",
		"554 5.7.1 Delivery not authorized",
		"550 Administrative prohibition",
		"550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy",
	},
	bounce.Suppressed: {
		"550 5.1.1 Amazon SES has suppressed sending to this address: it is on the suppression list for your account",
		"605 Not delivering to previously bounced address",
	},
}

func TestParaphrases(t *testing.T) {
	t.Parallel()
	for want, replies := range paraphrases {
		for _, text := range replies {
			t.Run(text, func(t *testing.T) {
				t.Parallel()
				r := bounce.ParseReply(text)
				got := bounce.Classify(r)
				require.Equal(t, want, got.Reason, "%v", bounce.Explain(r))
				hard := want == bounce.BadMailbox || want == bounce.BadDomain || want == bounce.MailboxMoved || want == bounce.MailboxDisabled
				require.Equal(t, hard && !got.Temporary, got.Verdict == bounce.Hard)
			})
		}
	}
}

// TestVerdicts holds Classify to a list of replies that look like others: a line
// is "hard" or "soft", and the reply.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/replies.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		want, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		r := bounce.ParseReply(strings.ReplaceAll(text, `\n`, "\n"))
		require.Equal(t, want == "hard", bounce.Classify(r).Verdict == bounce.Hard, "%s %v", line, bounce.Explain(r))
	}
}

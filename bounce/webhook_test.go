package bounce_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

// inbox keeps the reports that a webhook hands over.
type inbox struct {
	reports []*bounce.Report
	err     error
}

func (i *inbox) take(_ context.Context, r *bounce.Report) error {
	if i.err != nil {
		return i.err
	}
	i.reports = append(i.reports, r)
	return nil
}

var anyone = &bounce.WebhookOptions{DangerouslyAllowAnyone: true}

func post(h http.Handler, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func ExampleNewPostmarkWebhook() {
	hook, err := bounce.NewPostmarkWebhook(bounce.Credentials{Username: "postmark", Password: "secreto"},
		func(_ context.Context, r *bounce.Report) error {
			one := r.Recipients[0]
			fmt.Println(r.Kind, one.Final, one.Verdict, one.Reason)
			return nil
		}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/postmark", strings.NewReader(
		`{"RecordType": "Bounce", "Type": "HardBounce", "Email": "ana@example.com", "Details": "smtp;550 5.1.1 No such user"}`))
	r.SetBasicAuth("postmark", "secreto")
	hook.ServeHTTP(httptest.NewRecorder(), r)
	// Output: bounce ana@example.com hard bad-mailbox
}

func ExampleNewMailjetWebhook() {
	hook, err := bounce.NewMailjetWebhook(bounce.Credentials{Username: "mailjet", Password: "secreto"},
		func(_ context.Context, r *bounce.Report) error {
			fmt.Println(r.Kind, r.Recipients[0].Final, r.Recipients[0].Reason)
			return nil
		}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/mailjet", strings.NewReader(
		`[{"event": "spam", "email": "ana@example.com"}, {"event": "open", "email": "luis@example.com"}]`))
	r.SetBasicAuth("mailjet", "secreto")
	hook.ServeHTTP(httptest.NewRecorder(), r)
	// Output: complaint ana@example.com complaint
}

// TestWebhookEvents holds each provider's events against the reports that they
// stand for.
func TestWebhookEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		service string
		event   string
		kind    bounce.Kind
		to      string
		reason  bounce.Reason
		verdict bounce.Verdict
		status  string
	}{
		{"mailjet bounce", "mailjet", `{"event":"bounce","time":1430812195,"MessageID":13792286917004336,"email":"ana@example.com","CustomID":"c1","blocked":true,"hard_bounce":true,"error_related_to":"recipient","error":"user unknown","comment":""}`, bounce.KindBounce, "ana@example.com", bounce.BadMailbox, bounce.Hard, ""},
		{"mailjet text beats word", "mailjet", `{"event":"bounce","email":"ana@example.com","error":"user unknown","comment":"550 5.7.1 blocked using zen.spamhaus.org"}`, bounce.KindBounce, "ana@example.com", bounce.IPBlocked, bounce.Soft, "5.7.1"},
		{"mailjet preblocked", "mailjet", `{"event":"blocked","email":"ana@example.com","error_related_to":"mailjet","error":"preblocked"}`, bounce.KindBounce, "ana@example.com", bounce.Suppressed, bounce.Soft, ""},
		{"mailjet unsub", "mailjet", `{"event":"unsub","email":"ana@example.com","mj_list_id":1}`, bounce.KindComplaint, "ana@example.com", bounce.OptOut, bounce.Unknown, ""},
		{"mailjet sent", "mailjet", `{"event":"sent","email":"ana@example.com","smtp_reply":"sent (250 2.0.0 OK 4242 fa5si855896wjc.199 - gsmtp)"}`, bounce.KindSuccess, "ana@example.com", bounce.Delivered, bounce.Unknown, "2.0.0"},
		{"postmark hard", "postmark", `{"RecordType":"Bounce","ID":42,"Type":"HardBounce","TypeCode":1,"Email":"ana@example.com","Details":"action: failed","BouncedAt":"2026-11-05T16:33:54Z","Metadata":{"x":"y"}}`, bounce.KindBounce, "ana@example.com", bounce.BadMailbox, bounce.Hard, ""},
		{"postmark delay", "postmark", `{"RecordType":"Bounce","Type":"Transient","Email":"ana@example.com","Details":"smtp;451 4.7.1 Greylisted"}`, bounce.KindDelay, "ana@example.com", bounce.Greylisted, bounce.Soft, "4.7.1"},
		{"postmark complaint", "postmark", `{"RecordType":"SpamComplaint","Email":"ana@example.com"}`, bounce.KindComplaint, "ana@example.com", bounce.Complaint, bounce.Unknown, ""},
		{"postmark auto-reply", "postmark", `{"RecordType":"Bounce","Type":"AutoResponder","Email":"ana@example.com"}`, bounce.KindAutoReply, "ana@example.com", bounce.AutoReply, bounce.Unknown, ""},
		{"postmark unsubscribed", "postmark", `{"RecordType":"SubscriptionChange","Recipient":"ana@example.com","SuppressSending":true}`, bounce.KindComplaint, "ana@example.com", bounce.OptOut, bounce.Unknown, ""},
		{"mailgun failed", "mailgun", `{"event":"failed","severity":"permanent","reason":"bounce","id":"e1","timestamp":1521233195.375624,"recipient":"ana@example.com","delivery-status":{"code":550,"message":"5.1.1 The email account that you tried to reach does not exist","mx-host":"gmail-smtp-in.l.google.com"},"message":{"headers":{"message-id":"m@example.com"}}}`, bounce.KindBounce, "ana@example.com", bounce.BadMailbox, bounce.Hard, "5.1.1"},
		{"mailgun temporary", "mailgun", `{"event":"failed","severity":"temporary","recipient":"ana@example.com","delivery-status":{"code":550,"message":"User unknown"}}`, bounce.KindDelay, "ana@example.com", bounce.BadMailbox, bounce.Soft, ""},
		{"mailgun suppressed", "mailgun", `{"event":"failed","severity":"permanent","reason":"suppress-bounce","recipient":"ana@example.com","delivery-status":{"code":605,"description":"Not delivering to previously bounced address"}}`, bounce.KindBounce, "ana@example.com", bounce.Suppressed, bounce.Soft, ""},
		{"sendgrid bounce", "sendgrid", `[{"event":"bounce","type":"bounce","email":"ana@example.com","status":"5.1.1","reason":"550 5.1.1 user unknown","bounce_classification":"Invalid Address","sg_event_id":"s1","smtp-id":"<m@example.com>","mi_id":"7"}]`, bounce.KindBounce, "ana@example.com", bounce.BadMailbox, bounce.Hard, "5.1.1"},
		{"sendgrid dropped", "sendgrid", `[{"event":"dropped","email":"ana@example.com","reason":"Bounced Address"}]`, bounce.KindBounce, "ana@example.com", bounce.Suppressed, bounce.Soft, ""},
		{"sendgrid unsubscribe", "sendgrid", `[{"event":"group_unsubscribe","email":"ana@example.com"}]`, bounce.KindComplaint, "ana@example.com", bounce.OptOut, bounce.Unknown, ""},
		{"ses bounce", "ses", `{"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[{"emailAddress":"ana@example.com","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}],"timestamp":"2026-01-27T14:59:38.237Z","feedbackId":"f1"},"mail":{"messageId":"m1","headers":[{"name":"X-Campaign","value":"otoño"}],"commonHeaders":{"messageId":"<m@example.com>","from":["Eva <eva@example.com>"]}}}`, bounce.KindBounce, "ana@example.com", bounce.BadMailbox, bounce.Hard, "5.1.1"},
		{"ses suppressed", "ses", `{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"OnAccountSuppressionList","bouncedRecipients":[{"emailAddress":"ana@example.com","diagnosticCode":"Amazon SES did not send the message to this address because it is on the suppression list for your account."}]}}`, bounce.KindBounce, "ana@example.com", bounce.Suppressed, bounce.Soft, ""},
		{"ses full", "ses", `{"eventType":"DeliveryDelay","deliveryDelay":{"delayType":"MailboxFull","delayedRecipients":[{"emailAddress":"ana@example.com"}]}}`, bounce.KindDelay, "ana@example.com", bounce.MailboxFull, bounce.Soft, ""},
		{"ses complaint", "ses", `{"notificationType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"ana@example.com"}],"complaintFeedbackType":"fraud","userAgent":"FBL"}}`, bounce.KindComplaint, "ana@example.com", bounce.Complaint, bounce.Unknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reports := bounce.TranslateEvents(c.service, c.event)
			require.Len(t, reports, 1)
			r := reports[0]
			require.Equal(t, c.kind, r.Kind)
			require.Len(t, r.Recipients, 1)
			one := r.Recipients[0]
			require.Equal(t, c.to, one.Final)
			require.Equal(t, c.reason, one.Reason, one.Rule)
			require.Equal(t, c.verdict, one.Verdict)
			require.Equal(t, c.status, one.Status.String())
		})
	}
}

func TestWebhookKeepsFields(t *testing.T) {
	t.Parallel()
	r := bounce.TranslateEvents("sendgrid", `[{"event":"bounce","email":"ana@example.com","sg_event_id":"s1","smtp-id":"<m@example.com>","timestamp":1521233195,"campaign":"otoño","n":7}]`)[0]
	require.Equal(t, []bounce.Field{{Name: "campaign", Value: "otoño"}, {Name: "n", Value: "7"}}, r.Fields)
	require.Equal(t, "s1", r.ID)
	require.Equal(t, "m@example.com", r.Original.MessageID)
	require.Equal(t, int64(1521233195), r.Date.Unix())

	r = bounce.TranslateEvents("ses", `{"eventType":"Delivery","delivery":{"recipients":["ana@example.com","luis@example.com"]},"mail":{"headers":[{"name":"X-Id","value":"1"},{"name":"X-Evil","value":"2\r\nX: 3"}]}}`)[0]
	require.Len(t, r.Recipients, 2)
	require.Equal(t, bounce.FateDelivered, r.Recipients[1].Fate)
	require.Equal(t, "X-Id: 1\r\n", r.Original.Header)
}

func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	box := &inbox{}
	hook, err := bounce.NewMailjetWebhook(bounce.Credentials{Username: "m", Password: "secreto"}, box.take, &bounce.WebhookOptions{MaxBody: 200})
	require.NoError(t, err)
	auth := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("m:secreto"))}
	event := `{"event":"spam","email":"ana@example.com"}`

	require.Equal(t, http.StatusUnauthorized, post(hook, event).Code)
	require.Equal(t, http.StatusUnauthorized, post(hook, event, "Authorization", "Basic bTptYWw=").Code)
	require.Equal(t, http.StatusBadRequest, post(hook, "{", auth...).Code)
	require.Equal(t, http.StatusBadRequest, post(hook, `[1]`, auth...).Code)
	require.Equal(t, http.StatusRequestEntityTooLarge, post(hook, strings.Repeat(" ", 201), auth...).Code)
	w := httptest.NewRecorder()
	hook.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, http.MethodPost, w.Header().Get("Allow"))
	require.Empty(t, box.reports)

	require.Equal(t, http.StatusOK, post(hook, `{"event":"open","email":"ana@example.com"}`, auth...).Code)
	require.Empty(t, box.reports)
	require.Equal(t, http.StatusOK, post(hook, event, auth...).Code)
	require.Len(t, box.reports, 1)
	box.err = errors.New("disk full")
	require.Equal(t, http.StatusServiceUnavailable, post(hook, event, auth...).Code)
}

func TestNewWebhookRefuses(t *testing.T) {
	t.Parallel()
	take := (&inbox{}).take
	for name, err := range map[string]error{
		"credentials are empty": second(bounce.NewMailjetWebhook(bounce.Credentials{}, take, nil)),
		"handle is nil":         second(bounce.NewPostmarkWebhook(bounce.Credentials{}, nil, anyone)),
		"signing key is empty":  second(bounce.NewMailgunWebhook("", take, nil)),
		"not base64":            second(bounce.NewSendGridWebhook("?", take, nil)),
		"topics are empty":      second(bounce.NewSESWebhook(nil, take, nil)),
		"MaxBody is negative":   second(bounce.NewPostmarkWebhook(bounce.Credentials{}, take, &bounce.WebhookOptions{DangerouslyAllowAnyone: true, MaxBody: -1})),
	} {
		require.ErrorContains(t, err, name)
	}
}

func second(_ *bounce.Webhook, err error) error { return err }

func mailgunBody(key, token string, at time.Time) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(stamp + token))
	return fmt.Sprintf(`{"signature":{"timestamp":%q,"token":%q,"signature":%q},"event-data":{"event":"complained","recipient":"ana@example.com"}}`,
		stamp, token, hex.EncodeToString(mac.Sum(nil)))
}

func TestMailgunSignature(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		hook, err := bounce.NewMailgunWebhook("clave", box.take, &bounce.WebhookOptions{Tolerance: time.Hour})
		require.NoError(t, err)
		now := time.Now()
		require.Equal(t, http.StatusForbidden, post(hook, mailgunBody("otra", "t1", now)).Code)
		require.Equal(t, http.StatusForbidden, post(hook, mailgunBody("clave", "t1", now.Add(-2*time.Hour))).Code)
		require.Equal(t, http.StatusForbidden, post(hook, mailgunBody("clave", "t1", now.Add(2*time.Hour))).Code)
		require.Equal(t, http.StatusForbidden, post(hook, `{}`).Code)
		require.Equal(t, http.StatusBadRequest, post(hook, `[`).Code)
		require.Empty(t, box.reports)

		box.err = errors.New("disk full")
		require.Equal(t, http.StatusServiceUnavailable, post(hook, mailgunBody("clave", "t1", now)).Code)
		box.err = nil
		require.Equal(t, http.StatusOK, post(hook, mailgunBody("clave", "t1", now)).Code, "what failed may come again")
		require.Equal(t, http.StatusOK, post(hook, mailgunBody("clave", "t1", now)).Code, "what was taken is dropped")
		require.Len(t, box.reports, 1)

		time.Sleep(2 * time.Hour)
		require.Equal(t, http.StatusForbidden, post(hook, mailgunBody("clave", "t1", now)).Code)
	})
}

func ExampleNewMailgunWebhook() {
	hook, err := bounce.NewMailgunWebhook("clave", func(_ context.Context, r *bounce.Report) error {
		fmt.Println(r.Kind, r.Recipients[0].Final)
		return nil
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(post(hook, mailgunBody("clave", "token", time.Now())).Code)
	// Output:
	// complaint ana@example.com
	// 200
}

func sendGridKey(t testing.TB) (*ecdsa.PrivateKey, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return key, base64.StdEncoding.EncodeToString(der)
}

func TestSendGridSignature(t *testing.T) {
	t.Parallel()
	key, public := sendGridKey(t)
	box := &inbox{}
	hook, err := bounce.NewSendGridWebhook(public, box.take, nil)
	require.NoError(t, err)
	body := `[{"event":"spamreport","email":"ana@example.com"}]`
	sign := func(at time.Time, body string) []string {
		stamp := strconv.FormatInt(at.Unix(), 10)
		sum := sha256.Sum256([]byte(stamp + body))
		signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		require.NoError(t, err)
		return []string{
			"X-Twilio-Email-Event-Webhook-Timestamp", stamp,
			"X-Twilio-Email-Event-Webhook-Signature", base64.StdEncoding.EncodeToString(signature),
		}
	}
	require.Equal(t, http.StatusForbidden, post(hook, body).Code)
	require.Equal(t, http.StatusForbidden, post(hook, body, sign(time.Now(), body+" ")...).Code)
	require.Equal(t, http.StatusForbidden, post(hook, body, sign(time.Now().Add(-13*time.Hour), body)...).Code)
	require.Empty(t, box.reports)
	require.Equal(t, http.StatusOK, post(hook, body, sign(time.Now(), body)...).Code)
	require.Len(t, box.reports, 1)
}

// amazon is Amazon SNS as its clients see it: a key, a certificate, and what was
// fetched.
type amazon struct {
	key     *rsa.PrivateKey
	pem     []byte
	mu      sync.Mutex
	fetched []string
}

func newAmazon(t testing.TB, until time.Time) *amazon {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return &amazon{key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *amazon) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fetched = append(a.fetched, r.URL.String())
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: io.NopCloser(bytes.NewReader(a.pem)), Request: r, Header: http.Header{}}, nil
}

func (a *amazon) message(t testing.TB, version string, change map[string]string) string {
	m := map[string]string{
		"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:1:ours", "Timestamp": "2026-01-01T00:00:00Z",
		"Message": `{"notificationType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"ana@example.com"}]}}`,
	}
	for name, value := range change {
		m[name] = value
	}
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if m["Type"] != "Notification" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	signed := ""
	for _, name := range names {
		if m[name] != "" {
			signed += name + "\n" + m[name] + "\n"
		}
	}
	hash, sum := crypto.SHA256, sha256.Sum256([]byte(signed))
	digest := sum[:]
	if version == "1" {
		old := sha1.Sum([]byte(signed))
		hash, digest = crypto.SHA1, old[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, hash, digest)
	require.NoError(t, err)
	m["SignatureVersion"], m["Signature"] = version, base64.StdEncoding.EncodeToString(signature)
	if m["SigningCertURL"] == "" {
		m["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"
	}
	b, err := json.Marshal(m)
	require.NoError(t, err)
	return string(b)
}

func TestSNSSignature(t *testing.T) {
	t.Parallel()
	a, box := newAmazon(t, time.Now().Add(time.Hour)), &inbox{}
	hook, err := bounce.NewSESWebhook([]string{"arn:aws:sns:eu-west-1:1:ours"}, box.take, &bounce.WebhookOptions{Client: &http.Client{Transport: a}})
	require.NoError(t, err)

	require.Equal(t, http.StatusOK, post(hook, a.message(t, "1", nil)).Code)
	require.Equal(t, http.StatusOK, post(hook, a.message(t, "2", map[string]string{"Subject": "Aviso"})).Code)
	require.Len(t, box.reports, 2)
	require.Len(t, a.fetched, 1, "the certificate is kept")
	require.Equal(t, http.StatusOK, post(hook, a.message(t, "2", map[string]string{"Message": "Successfully validated SNS topic"})).Code)
	require.Len(t, box.reports, 2)

	for name, change := range map[string]map[string]string{
		"topic":       {"TopicArn": "arn:aws:sns:eu-west-1:2:theirs"},
		"host":        {"SigningCertURL": "https://sns.example.com/a.pem"},
		"suffix":      {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.example.com/a.pem"},
		"bucket":      {"SigningCertURL": "https://sns.s3.evil.amazonaws.com/a.pem"},
		"http":        {"SigningCertURL": "http://sns.eu-west-1.amazonaws.com/a.pem"},
		"port":        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com:8443/a.pem"},
		"user":        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com@example.com/a.pem"},
		"not a pem":   {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/?Action=Publish"},
		"query":       {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/a.pem?x"},
		"not ours":    {"Type": "SubscriptionConfirmation", "SubscribeURL": "https://example.com/?Action=ConfirmSubscription", "Token": "t"},
		"no confirm":  {"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic", "Token": "t"},
		"confirm url": {"Type": "SubscriptionConfirmation", "SubscribeURL": "http://169.254.169.254/?Action=ConfirmSubscription", "Token": "t"},
	} {
		require.Equal(t, http.StatusForbidden, post(hook, a.message(t, "2", change)).Code, name)
	}
	forged := strings.Replace(a.message(t, "2", nil), "ana@", "eva@", 1)
	require.Equal(t, http.StatusForbidden, post(hook, forged).Code)
	require.Equal(t, http.StatusForbidden, post(hook, a.message(t, "3", nil)).Code)
	require.Len(t, a.fetched, 1)
	require.Len(t, box.reports, 2)

	confirm := "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
	require.Equal(t, http.StatusOK, post(hook, a.message(t, "2", map[string]string{"Type": "SubscriptionConfirmation", "SubscribeURL": confirm, "Token": "t"})).Code)
	require.Equal(t, confirm, a.fetched[1])
}

func TestSNSCertificateExpired(t *testing.T) {
	t.Parallel()
	a, box := newAmazon(t, time.Now().Add(-time.Hour)), &inbox{}
	hook, err := bounce.NewSESWebhook([]string{"arn:aws:sns:eu-west-1:1:ours"}, box.take, &bounce.WebhookOptions{Client: &http.Client{Transport: a}})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, post(hook, a.message(t, "2", nil)).Code)
	require.Empty(t, box.reports)
}

// FuzzEvents: whatever the events are, translation ends, is the same each time, and
// gives each report an address or none.
func FuzzEvents(f *testing.F) {
	f.Add(0, `{"event":"bounce","email":"ana@example.com","comment":"550 user unknown"}`)
	f.Add(1, `{"RecordType":"Bounce","Type":"HardBounce","Email":"ana@example.com"}`)
	f.Add(2, `{"event":"failed","severity":"permanent","recipient":"ana@example.com","delivery-status":{"code":550}}`)
	f.Add(3, `[{"event":"deferred","email":"ana@example.com","response":"450 later"}]`)
	f.Add(4, `{"eventType":"Bounce","bounce":{"bouncedRecipients":[{"emailAddress":"ana@example.com"},{}]},"mail":{"headers":[{"name":"A","value":"b"}]}}`)
	services := []string{"mailjet", "postmark", "mailgun", "sendgrid", "ses"}
	f.Fuzz(func(t *testing.T, n int, events string) {
		service := services[uint(n)%uint(len(services))]
		reports := bounce.TranslateEvents(service, events)
		require.Equal(t, reports, bounce.TranslateEvents(service, events))
		for _, r := range reports {
			require.NotEqual(t, bounce.NotReport, r.Kind)
			for _, one := range r.Recipients {
				require.NotEmpty(t, one.Final)
			}
			for _, line := range strings.SplitAfter(r.Original.Header, "\r\n") {
				require.True(t, line == "" || strings.HasSuffix(line, "\r\n"))
			}
		}
	})
}

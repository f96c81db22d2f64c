package smtp

import (
	"crypto/tls"
	"slices"
	"strconv"
	"strings"
)

// ServerInfo is what a server says of itself.
type ServerInfo struct {
	// Host is the name that was connected to, and Name the one that the server
	// gave itself in its answer to EHLO.
	Host, Name string
	// Extensions maps the keywords of the answer to EHLO, in upper case, to their
	// parameters.
	Extensions map[string]string
	// TLS is the state of the connection. It is nil without TLS.
	TLS *tls.ConnectionState
	// Session describes the connection.
	Session Session
}

// Mechanisms lists the SASL mechanisms that the server offers, in upper case.
func (s *ServerInfo) Mechanisms() []string { return strings.Fields(s.Extensions["AUTH"]) }

// Offers reports whether the server offers a SASL mechanism.
func (s *ServerInfo) Offers(mechanism string) bool {
	return slices.Contains(s.Mechanisms(), mechanism)
}

// parseExtensions reads the answer to EHLO (RFC 5321, section 4.1.1.1).
func parseExtensions(r Reply) (name string, extensions map[string]string) {
	extensions = make(map[string]string, len(r.Lines))
	for i, line := range r.Lines {
		keyword, params, _ := strings.Cut(line, " ")
		keyword = strings.ToUpper(keyword)
		switch {
		case i == 0:
			name = strings.ToLower(keyword)
		case keyword == "AUTH", strings.HasPrefix(keyword, "AUTH="):
			// QUIRK: old servers also or only write "AUTH=LOGIN PLAIN".
			first := strings.TrimPrefix(strings.TrimPrefix(keyword, "AUTH"), "=")
			extensions["AUTH"] = mergeFields(extensions["AUTH"], strings.ToUpper(first+" "+params))
		default:
			extensions[keyword] = strings.TrimSpace(params)
		}
	}
	return name, extensions
}

func mergeFields(a, b string) string {
	fields := strings.Fields(a)
	for _, f := range strings.Fields(b) {
		if !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	return strings.Join(fields, " ")
}

// abilities are the extensions that a transaction looks at.
type abilities struct {
	pipelining, chunking, eightBit, utf8, dsn, requireTLS bool
	sized                                                 bool  // SIZE is offered
	size                                                  int64 // the largest message; 0 is unknown
	// The limits of RFC 9422; 0 is none.
	mailMax, rcptMax, rcptDomainMax int
}

func abilitiesOf(extensions map[string]string) abilities {
	has := func(keyword string) bool { _, ok := extensions[keyword]; return ok }
	a := abilities{
		pipelining: has("PIPELINING"),
		chunking:   has("CHUNKING"),
		eightBit:   has("8BITMIME"),
		utf8:       has("SMTPUTF8"),
		dsn:        has("DSN"),
		requireTLS: has("REQUIRETLS"),
		sized:      has("SIZE"),
	}
	if size, err := strconv.ParseInt(extensions["SIZE"], 10, 64); err == nil && size > 0 {
		a.size = size
	}
	for _, limit := range strings.Fields(strings.ToUpper(extensions["LIMITS"])) {
		name, value, _ := strings.Cut(limit, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			continue // RFC 9422, section 3: what is malformed is ignored
		}
		switch name {
		case "MAILMAX":
			a.mailMax = n
		case "RCPTMAX":
			a.rcptMax = n
		case "RCPTDOMAINMAX":
			a.rcptDomainMax = n
		}
	}
	return a
}

package tracking

import "strings"

// agent is what a user agent tells.
type agent struct {
	// full is the user agent, cut at maxAgent.
	full string
	// family is the client and its system, such as "Chrome on Android".
	family string
	// signals are the reasons why this is a machine.
	signals Machine
	// proxied says that the address is the mail provider's, not the reader's.
	proxied bool
}

// maxAgent is how much of a user agent is looked at.
const maxAgent = 512

// agentOf returns what is known of a user agent. It retains no part of s.
func (t *Tracker) agentOf(s string) *agent {
	s = s[:min(len(s), maxAgent)]
	if a, known := t.agents.look(s); known {
		return a
	}
	a := readAgent(strings.Clone(s))
	t.agents.keep(a.full, a)
	return a
}

func readAgent(s string) *agent {
	switch s {
	case "":
		return &agent{signals: MachineNoAgent}
	case "Mozilla/5.0": // what Apple's proxies call themselves, and nothing else
		return &agent{full: s, family: "Apple Mail (privacy protection)", signals: MachineApplePrivacy, proxied: true}
	}
	lower := strings.ToLower(s)
	for _, k := range knownAgents {
		if strings.Contains(lower, k.part) {
			return &agent{full: s, family: k.family, signals: k.signals, proxied: k.proxied}
		}
	}
	return &agent{full: s, family: family(lower)}
}

// family names a reader's client and system.
func family(lower string) string {
	client, system := first(clients, lower), first(systems, lower)
	if client == "" {
		client = "Other"
	}
	if system == "" {
		return client
	}
	return client + " on " + system
}

// first returns the name of the first part that is in s.
func first(names [][2]string, s string) string {
	for _, n := range names {
		if strings.Contains(s, n[0]) {
			return n[1]
		}
	}
	return ""
}

// knownAgents are those that are not a reader's own client, by a part of their
// lower-case name; the first that fits counts. The images that Google and Yahoo
// fetch when a mail is opened are a person's opens.
var knownAgents = []struct {
	part, family string
	signals      Machine
	proxied      bool
}{
	// Readers' clients that would fit below.
	{"cubot", "Chrome on Android", 0, false}, // a maker of telephones

	// Mail providers.
	{"googleimageproxy", "Gmail (image proxy)", 0, true},
	{"edge/12.246 mozilla/5.0", "Gmail (prefetch)", MachinePrefetch, true},
	{"yahoomailproxy", "Yahoo Mail (image proxy)", 0, true},
	{"yahoocachesystem", "Yahoo Mail (image proxy)", 0, true},
	{"duckduckgo email protection", "DuckDuckGo (image proxy)", 0, true},

	// Mail security.
	{"barracuda", "Barracuda", MachineScanner, false},
	{"mimecast", "Mimecast", MachineScanner, false},
	{"proofpoint", "Proofpoint", MachineScanner, false},
	{"safelinks", "Microsoft Safe Links", MachineScanner, false},
	{"microsoft office existence discovery", "Microsoft Office", MachineScanner, false},
	{"forcepoint", "Forcepoint", MachineScanner, false},
	{"websense", "Forcepoint", MachineScanner, false},
	{"fortiguard", "Fortinet", MachineScanner, false},
	{"fortinet", "Fortinet", MachineScanner, false},
	{"sophos", "Sophos", MachineScanner, false},
	{"symantec", "Symantec", MachineScanner, false},
	{"messagelabs", "Symantec", MachineScanner, false},
	{"trendmicro", "Trend Micro", MachineScanner, false},
	{"trend micro", "Trend Micro", MachineScanner, false},
	{"ironport", "Cisco", MachineScanner, false},
	{"cisco umbrella", "Cisco", MachineScanner, false},
	{"mcafee", "McAfee", MachineScanner, false},
	{"trellix", "Trellix", MachineScanner, false},
	{"fireeye", "Trellix", MachineScanner, false},
	{"kaspersky", "Kaspersky", MachineScanner, false},
	{"cloudmark", "Cloudmark", MachineScanner, false},
	{"avanan", "Check Point", MachineScanner, false},
	{"checkpoint", "Check Point", MachineScanner, false},
	{"hornetsecurity", "Hornetsecurity", MachineScanner, false},
	{"retarus", "Retarus", MachineScanner, false},
	{"zscaler", "Zscaler", MachineScanner, false},
	{"netskope", "Netskope", MachineScanner, false},
	{"urlscan", "urlscan", MachineScanner, false},
	{"virustotal", "VirusTotal", MachineScanner, false},
	{"phishtank", "PhishTank", MachineScanner, false},
	{"google-safety", "Google Safety", MachineScanner, false},

	// Previews in chats.
	{"skypeuripreview", "Skype (preview)", MachinePrefetch, false},
	{"bingpreview", "Bing (preview)", MachinePrefetch, false},
	{"facebookexternalhit", "Facebook (preview)", MachinePrefetch, false},
	{"whatsapp/", "WhatsApp (preview)", MachinePrefetch, false},
	{"google-pagerenderer", "Google (preview)", MachinePrefetch, false},

	// Programs.
	{"headlesschrome", "Headless browser", MachineScanner, false},
	{"phantomjs", "Headless browser", MachineScanner, false},
	{"curl/", "curl", MachineScanner, false},
	{"wget/", "Wget", MachineScanner, false},
	{"python", "Python program", MachineScanner, false},
	{"aiohttp", "Python program", MachineScanner, false},
	{"go-http-client", "Go program", MachineScanner, false},
	{"java/", "Java program", MachineScanner, false},
	{"apache-httpclient", "Java program", MachineScanner, false},
	{"okhttp", "Java program", MachineScanner, false},
	{"libwww-perl", "Perl program", MachineScanner, false},
	{"ruby", "Ruby program", MachineScanner, false},
	{"node-fetch", "Node program", MachineScanner, false},
	{"axios/", "Node program", MachineScanner, false},
	{"undici", "Node program", MachineScanner, false},
	{"guzzlehttp", "PHP program", MachineScanner, false},
	{"powershell", "PowerShell", MachineScanner, false},
	{"winhttp", "Windows program", MachineScanner, false},

	// Whoever says so.
	{"bot", "Robot", MachineScanner, false},
	{"crawl", "Robot", MachineScanner, false},
	{"spider", "Robot", MachineScanner, false},
	{"scanner", "Robot", MachineScanner, false},
	{"linkcheck", "Robot", MachineScanner, false},
	{"urlcheck", "Robot", MachineScanner, false},
}

// clients and systems are readers' programs, by a part of their lower-case user
// agent; the first that fits counts, since most claim to be others as well.
var clients = [][2]string{
	{"thunderbird", "Thunderbird"},
	{"microsoft outlook", "Outlook"},
	{"ms-office", "Outlook"},
	{"outlook-", "Outlook"},
	{"evolution", "Evolution"},
	{"airmail", "Airmail"},
	{"samsungbrowser", "Samsung Internet"},
	{"edg/", "Edge"},
	{"edga/", "Edge"},
	{"edgios/", "Edge"},
	{"edge/", "Edge"},
	{"opr/", "Opera"},
	{"opera", "Opera"},
	{"vivaldi", "Vivaldi"},
	{"fxios/", "Firefox"},
	{"firefox/", "Firefox"},
	{"crios/", "Chrome"},
	{"chrome/", "Chrome"},
	{"trident/", "Internet Explorer"},
	{"msie ", "Internet Explorer"},
	{"safari/", "Safari"},
	{"applewebkit/", "Apple Mail"}, // a browser would name itself
}

var systems = [][2]string{
	{"iphone", "iOS"},
	{"ipad", "iOS"},
	{"android", "Android"},
	{"windows", "Windows"},
	{"mac os x", "macOS"},
	{"macintosh", "macOS"},
	{"cros ", "ChromeOS"},
	{"linux", "Linux"},
}

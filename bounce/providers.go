package bounce

// provider is one whose servers speak a dialect of their own.
type provider struct {
	name  string
	mx    []string // how the names of its servers end
	marks []string // phrases that give it away where the server is not known
	rules []Rule
}

// providers are in the order in which their rules are tried.
var providers = []provider{
	{"gmail", []string{"google.com", "googlemail.com"}, []string{"gsmtp", "gcdp", "support google com"}, gmail},
	{"yahoo", []string{"yahoodns.net", "yahoo.com", "yahoo.co.jp", "aol.com"}, []string{"yahoodns net", "yahooinc com", "postmaster yahoo com", "verizonmedia com", "delivery error dd", "postmaster aol com"}, yahoo},
	{"outlook", []string{"olc.protection.outlook.com", "hotmail.com", "live.com", "msn.com"}, []string{"postmaster live com", "mail live com", "postmaster msn com"}, outlook},
	{"exchange-online", []string{"protection.outlook.com", "prod.outlook.com", "mx.microsoft"}, []string{"protection outlook com", "prod outlook com", "go microsoft com", "sender office com", "aka ms"}, exchangeOnline},
	{"icloud", []string{"icloud.com", "apple.com", "me.com", "mac.com", "appleid.com"}, []string{"support apple com"}, icloud},
	{"gmx", []string{"gmx.net", "gmx.com", "web.de", "mail.com", "kundenserver.de", "1and1.com", "ionos.com", "emig.gmx.net", "perfora.net"}, []string{"postmaster gmx", "postmaster web de", "postmaster mail com", "postmaster 1and1"}, gmx},
	{"t-online", []string{"t-online.de"}, []string{"rx t online de", "t online de"}, tOnline},
	{"mimecast", []string{"mimecast.com", "mimecast.co.za", "mimecast-offshore.com"}, []string{"mimecast com", "mimecast & docs"}, mimecast},
	{"proofpoint", []string{"pphosted.com", "ppe-hosted.com", "gslb.pphosted.com"}, []string{"proofpoint com", "ppe hosted com", "pphosted com"}, proofpoint},
	{"barracuda", []string{"barracudanetworks.com"}, []string{"barracudanetworks com", "permanent failed for one or more recipient", "temporary failed for one or more recipient"}, barracuda},
	{"orange", []string{"orange.fr", "wanadoo.fr", "laposte.net"}, []string{"orange fr", "wanadoo fr", "laposte net", "mwinf"}, orange},
	{"sfr", []string{"sfr.fr", "sfr.net", "neuf.fr", "cegetel.net", "club-internet.fr", "numericable.fr", "noos.fr"}, []string{"sfr in", "sfr fr"}, sfr},
	{"mail.ru", []string{"mail.ru"}, []string{"mail ru"}, mailRu},
	{"yandex", []string{"yandex.ru", "yandex.net", "yandex.com"}, []string{"yandex ru", "yandex net", "yandex com"}, yandex},
	{"qq", []string{"qq.com", "exmail.qq.com"}, []string{"mail qq com", "weixin qq com"}, qq},
	{"netease", []string{"163.com", "126.com", "yeah.net", "netease.com", "163mx04.mxmail.netease.com"}, []string{"mail 163 com", "netease"}, netease},
	{"zoho", []string{"zoho.com", "zoho.eu", "zohomail.com", "zoho.in"}, []string{"zoho com"}, zoho},
	{"comcast", []string{"comcast.net"}, []string{"comcast net", "xfinity com"}, comcast},
	{"cox", []string{"cox.net"}, []string{"cox com", "cox net"}, cox},
	{"spectrum", []string{"charter.net", "rr.com", "spectrum.net", "twc.com"}, []string{"spectrum net", "charter net"}, spectrum},
	{"att", []string{"att.net", "prodigy.net", "sbcglobal.net"}, []string{"att net", "abuse rbl"}, att},
	{"godaddy", []string{"secureserver.net"}, []string{"secureserver net", "x co srbounce"}, godaddy},
	{"amazon", []string{"amazonaws.com", "amazonses.com"}, nil, amazon},
}

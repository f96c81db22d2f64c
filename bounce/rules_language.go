package bounce

// passedOver are words that say nothing of why mail failed: phrases and texts are
// read without them, and without numbers. "The mailbox is currently full" is
// "mailbox full".
const passedOver = `
	a an the this that these those its it e i am is are was were be been being has have had do does did
	can could will would may might should our my his her their and or currently now already also just so very
	seems appears because
	est ist es sein esta estan este jest sont est sind war wurde el la le les l de du des del della do da dos der die das dem den
	il lo los las ete stato stata sido foi ha un une una uma ein eine au aux dell d se s sa su votre vostra ihre
`

// sameWords are words that are read as the first of their line.
const sameWords = `
	not doesnt dont didnt isnt wasnt arent werent hasnt havent wont wouldnt cannot cant couldnt couldnot doesnot dosent shouldnt
	user users
	mailbox mailboxes mailboxs mbox mailboxe
	account accounts acct
	recipient recipients recepient recipent
	address addresses adress addresss
	domain domains
	exist exists existing existed exits existent
	nonexistent nonexistant inexistent nonexisting nonexist unexisting inexistant
	mail email emails mails
	message messages msg
	recognized recognised recognize recognise
	unrecognized unrecognised
	authorized authorised
	unauthorized unauthorised
	cancelled canceled
	unrouteable unroutable unrouteble nonroutable
	blacklisted blacklist blacklists blacklisting blocklisted blocklist blocklists denylist denylisted blackhole blackholed
	connection connections
	session sessions
	attachment attachments
	header headers
	dnsbl dnsbls
	link links
	url urls uri uris
	error errors
	exceeded exceeds exceed exceeding exceeded
	limit limits
	rejected reject rejects rejecting rejection
	refused refuse refuses refusing
	blocked block blocks blocking
	denied deny denies denying
	accept accepts accepted accepting
	allowed allow allows
	permitted permit permits
	failed fail fails failing failure failures
	required require requires requiring
	disabled disable
	expired expire expires
	suspended suspend
	resolve resolved resolves resolvable
	listed listing
	greylisted greylist greylisting graylisted graylist graylisting greylisted
	throttled throttling throttle
	policy policies
	violation violates violate violations violated
	verify verified
	complaint complaints
	ip ips
	server servers
	found finded
	virus viruses
	spam spams
	relay relaying relayed
`

// synonyms are the word lists that phrases name in braces.
var synonyms = map[string]string{
	// A mailbox, or who reads it. Words before it do not matter: "email account".
	"user": "user|mailbox|account|recipient|receiver|addressee|alias|inbox|login|username|subscriber|customer|member|userid|person|rcpt|mail box|user name",
	// The same, of what can be closed.
	"holder": "user|mailbox|account|recipient|subscriber|alias|box|address|customer|login|inbox|mail service|member|addressee",
	// The one who sends.
	"sender": "sender|senders|sender address|from address|return path|returnpath|mail from|mailfrom|envelope sender|envelope from|envelope from address|reverse path|" +
		"sender domain|senders domain|sending domain|domain of sender|domain of sender address|originator|from domain|return address|sender mailbox|senders mailbox|sender account|senders account|senders address|senders mail address|sender mail address",
	// The tags of Orange and La Poste.
	"ofr": "ofr|ofr000|ofr001|ofr002|ofr003|ofr004|ofr005|ofr006|ofr007",
	"lpn": "lpn|lpn000|lpn001|lpn002|lpn003|lpn004|lpn005|lpn006|lpn007|lpn017|lpn027",
	// What is full.
	"store":     "mailbox|mail box|inbox|user|account|recipient|folder|mail folder|maildir|storage|quota|mail file|box|spool|disk quota",
	"postfach":  "postfach|mailbox|konto|account|benutzerkonto|emailkonto|mailkonto|empfanger|empfaenger|benutzer|nutzer|adresse|mail adresse|emailadresse|teilnehmer|mitglied|user",
	"boite":     "boite|boite lettres|messagerie|compte|destinataire|utilisateur|adresse|adresse mail|usager|abonne|mail",
	"buzon":     "buzon|buzon correo|cuenta|cuenta correo|destinatario|usuario|direccion|direccion correo|casilla|correo",
	"casella":   "casella|casella posta|account|destinatario|utente|indirizzo|mailbox|indirizzo mail",
	"caixa":     "caixa|caixa postal|caixa correio|conta|conta mail|conta correio|mail|destinatario|usuario|utilizador|endereco|endereco mail|mailbox",
	"skrzynka":  "skrzynka|skrzynka pocztowa|konto|adresat|odbiorca|uzytkownik|adres",
	"box-slav":  "uzivatel|ucet|schranka|adresat|prijemce|postafiok|felhasznalo|cimzett|utilizatorul|contul|korisnik",
	"kutu":      "kullanici|hesap|posta kutusu|alici|adres",
	"box-north": "mailbox|postvak|gebruiker|ontvanger|adres|geadresseerde|brevlada|mottagare|anvandare|konto|bruker|mottaker|bruger|modtager|postkasse|kayttaja|vastaanottaja|postilaatikko",
	"yashchik":  "ящик|почтовый ящик|пользователь|адрес|адресат|получатель|аккаунт|абонент|учетная запись|почта|поштова скринька|користувач",
}

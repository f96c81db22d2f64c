package bounce

// languages is what servers say in other languages than English, often beside it.
var languages = []Rule{
	// What several languages share.
	{Name: "unknown-here", Reason: BadMailbox, Text: []string{
		"{buzon} & (no existe|inexistente|desconocido|desconocida|no encontrado|no encontrada) en (nuestro |su |dicho |)dominio",
		"{caixa} & (nao existe|inexistente|desconhecido|desconhecida|nao encontrado|nao encontrada) (no|neste|nesse) dominio",
		"{boite} & (inconnu|inconnue|inexistant|introuvable|n existe pas|n existe plus) (dans|sur) (ce |notre |)domaine",
		"{casella} & (sconosciuto|sconosciuta|inesistente|non esiste|non trovato) (in questo|nel|sul) dominio",
		"{postfach} (existiert |)(in|auf|unter) (dieser |unserer |)domain (nicht|unbekannt)", "域名 & (没有此用户|无此用户|用户不存在)",
	}, Unless: []string{"remitente", "remetente", "expediteur", "emetteur", "mittente", "absender", "发件人"}},
	{Name: "blocked-abroad", Reason: IPBlocked, Text: []string{
		"ip & (bloqueada|bloqueado|bloquee|bloque|bloccato|gesperrt|blockiert|geblokkeerd|sperrad|zablokowany|заблокирован|封锁|封禁|禁用|屏蔽)", "servidor (bloqueado|bloqueada)",
	}},
	{Name: "sender-abroad", Reason: SenderRejected, Text: []string{
		"(remitente|remetente|expediteur|mittente) & (suspendida|suspensa|desactive|sospeso|bloqueada|bloccato)",
		"(absenders|absender) & (gesperrt|deaktiviert)", "отправителя & (заблокирована|заблокирован|отключена)",
		"(发件人|寄件者|送信元) & (停用|冻结|禁用|禁止|停止)", "(afzender|avsandare|avsandaren|avsender|afsender) &" +
			" (bestaat niet|onbekend|geweigerd|finns inte|okand|finnes ikke|findes ikke|ukjent|ukendt)",
		"(gonderen|gonderici) & (mevcut degil|gecersiz|reddedildi)", "adresse retour & (inexistante|invalide|inconnue)",
	}},
	{Name: "unwanted", Reason: SpamContent, Text: []string{
		"(correo|mensaje) no deseado", "correo basura", "lixo eletronico", "(correio|mensagem|classificada como) indesejada",
		"(courrier|message|mail|courriel) indesirable", "pourriel", "(posta|messaggio) (indesiderata|indesiderato)",
		"(unerwunschte|unerwuenschte) (werbung|mail|nachricht)", "istenmeyen posta",
	}},
	// Spanish.
	{Name: "es-too-large", Reason: TooLarge, Text: []string{
		"(mensaje|correo|adjunto|fichero|archivo) (demasiado|muy) (grande|largo)", "tamano maximo", "excede tamano", "supera tamano",
		"tamano & (excede|excedido|supera|superado|maximo|permitido)",
	}, Unless: []string{"buzon", "cuota"}},
	{Name: "es-rate", Reason: RateLimited, Text: []string{
		"(demasiadas|demasiados) (conexiones|mensajes|correos|envios|peticiones|errores|intentos)", "limite & (envio|envios|conexiones)",
	}},
	{Name: "es-full", Reason: MailboxFull, Text: []string{
		"{buzon} (lleno|llena|excedido|excedida|saturado|sin espacio|no tiene espacio|supera|superado)", "buzon & lleno",
		"cuota & (excedida|excedido|superada|sobrepasada)", "excedido & cuota", "espacio insuficiente", "sin espacio",
		"superado & (limite|cuota)",
	}},
	{Name: "es-disabled", Reason: MailboxDisabled, Text: []string{
		"{buzon} (deshabilitado|deshabilitada|desactivado|desactivada|suspendido|suspendida|inactivo|inactiva|" +
			"cerrado|cerrada|cancelado|cancelada|inhabilitado|inhabilitada|no activo|no activa|" +
			"eliminado|eliminada)",
		"(buzon|cuenta|cuenta correo|usuario|destinatario|casilla) (bloqueado|bloqueada)", "{buzon} & (dado|dada) baja", "{buzon} & (caducado|caducada)",
	}},
	{Name: "es-unknown", Reason: BadMailbox, Text: []string{
		"{buzon} (no existe|inexistente|desconocido|desconocida|no encontrado|no encontrada|no valido|no valida|" +
			"invalido|invalida|incorrecto|incorrecta|no registrado|erroneo)",
		"no existe (usuario|cuenta|buzon|direccion|destinatario|correo)", "{buzon} & no existe", "usuario desconocido",
		"no existe", "no se encuentra (usuario|cuenta|buzon|destinatario|alojado|alojada)", "{buzon} & no se encuentra", "no se (encontro|pudo encontrar|ha encontrado)",
	}, Unless: []string{"remitente", "dominio"}},
	{Name: "es-sender", Reason: SenderRejected, Text: []string{
		"remitente & (rechazado|invalido|desconocido|bloqueado|no valido|no permitido|no autorizado|no existe|denegado)",
	}},
	{Name: "es-domain", Reason: BadDomain, Text: []string{"dominio & (no existe|desconocido|inexistente|no encontrado|no valido|invalido)"}},
	{Name: "es-blocked", Reason: IPBlocked, Text: []string{"lista negra", "listas negras", "ip (bloqueada|bloqueado|rechazada)", "bloqueado por (envio|spam|abuso)"}},
	{Name: "es-relay", Reason: RelayDenied, Text: []string{"(no permite|no permitido|denegado) (reenvio|relay)", "(reenvio|relay) (no|denegado)", "relais (refuse|interdit|non autorise)", "(relaying|relay|weiterleitung) nicht"}},
	{Name: "es-refused", Reason: Policy, Text: []string{"rechazado", "rechazada", "acceso denegado", "no permitido", "no autorizado"}},
	// Portuguese.
	{Name: "pt-too-large", Reason: TooLarge, Text: []string{
		"(mensagem|anexo|arquivo) (muito|demasiado) grande", "tamanho & (excede|excedeu|excedido|maximo|permitido)",
	}, Unless: []string{"caixa", "quota", "cota"}},
	{Name: "pt-rate", Reason: RateLimited, Text: []string{
		"(muitas|muitos|demasiadas|demasiados) (conexoes|ligacoes|mensagens|mails|tentativas)", "limite & (envio|envios|conexoes)",
	}},
	{Name: "pt-full", Reason: MailboxFull, Text: []string{
		"{caixa} (cheia|cheio|lotada|lotado|excedida|excedeu|esgotada|sem espaco|acima)", "caixa & (cheia|lotada)",
		"quota & (excedida|excedeu)", "cota & (excedida|excedeu)", "sem espaco", "limite & (excedido|espaco)",
	}},
	{Name: "pt-disabled", Reason: MailboxDisabled, Text: []string{
		"{caixa} (desativada|desativado|suspensa|suspenso|inativa|inativo|cancelada|encerrada|" +
			"desabilitada|desabilitado|nao ativo|nao ativa|inativada)",
		"(caixa|caixa postal|conta|usuario|utilizador|destinatario) (bloqueada|bloqueado)",
	}},
	{Name: "pt-unknown", Reason: BadMailbox, Text: []string{
		"{caixa} (nao existe|inexistente|desconhecido|desconhecida|nao encontrado|nao encontrada|invalido|invalida|" +
			"nao cadastrado|nao localizado|nao localizada)",
		"{caixa} & nao existe", "nao existe", "nao ha (usuario|utilizador|conta)", "(usuario|conta) nao pertence",
	}, Unless: []string{"remetente", "dominio"}},
	{Name: "pt-sender", Reason: SenderRejected, Text: []string{
		"remetente & (rejeitado|invalido|desconhecido|bloqueado|nao existe|nao permitido|nao autorizado|recusado)",
	}},
	{Name: "pt-domain", Reason: BadDomain, Text: []string{"dominio & (nao existe|desconhecido|nao encontrado)"}},
	{Name: "pt-relay", Reason: RelayDenied, Text: []string{"(retransmissao|encaminhamento|relay) (nao|negado|negada)"}},
	{Name: "pt-refused", Reason: Policy, Text: []string{"rejeitado", "rejeitada", "recusado", "acesso negado", "nao permitido", "bloqueado por", "bloqueado pelo"}},
	// French.
	{Name: "fr-too-large", Reason: TooLarge, Text: []string{
		"trop (volumineux|volumineuse|gros|grosse|lourd|grand)", "taille & (depasse|depassee|maximale|maximum|limite)",
	}, Unless: []string{"boite", "quota", "messagerie"}},
	{Name: "fr-full", Reason: MailboxFull, Text: []string{
		"{boite} (pleine|plein|saturee|sature|depasse|depassee)", "boite & (pleine|saturee)",
		"quota & (depasse|atteint|depassee)", "espace disque & (insuffisant|depasse)", "espace insuffisant",
	}},
	{Name: "fr-disabled", Reason: MailboxDisabled, Text: []string{
		"{boite} (desactivee|desactive|suspendu|suspendue|inactif|inactive|ferme|fermee|resilie|" +
			"resiliee|cloture|cloturee|archivee|archive|n'est plus actif|n'est plus active|n'est plus valide|" +
			"n'est plus utilisee|non actif|non active|expire)",
		"{boite} & (n'est plus|desactive|desactivee)", "(boite|boite lettres|compte|destinataire|utilisateur) (bloque|bloquee)",
	}, Unless: []string{"expediteur", "emetteur", "ip", "service"}},
	{Name: "fr-unknown", Reason: BadMailbox, Text: []string{
		"{boite} (inconnu|inconnue|inexistant|inexistante|invalide|introuvable|erronee|errone|non trouve|non trouvee|" +
			"n existe pas|n existe plus|existe pas|existe plus|incorrecte|non valide)",
		"(utilisateur|destinataire|adresse|boite) & (inconnu|inconnue|n existe pas|inexistant|inexistante|invalide|" +
			"introuvable)",
		"n existe (pas|plus)", "aucun utilisateur", "aucune boite",
	}, Unless: []string{"emetteur", "expediteur", "adresse retour", "domaine", "commande"}},
	{Name: "fr-sender", Reason: SenderRejected, Text: []string{
		"(emetteur|expediteur) & (invalide|refuse|inconnu|bloque|rejete|non autorise|non valide|interdit|n existe pas|n pas valide|n pas autorise|inexistant)",
	}},
	{Name: "fr-domain", Reason: BadDomain, Text: []string{"domaine & (inconnu|inexistant|n existe pas|introuvable)"}},
	{Name: "fr-rate", Reason: RateLimited, Text: []string{
		"trop de (connexion|connexions|messages|mails|requetes|courriels|sessions)", "veuillez ralentir", "ralentir",
	}},
	{Name: "fr-recipients", Reason: TooManyRecipients, Text: []string{"trop de destinataires"}},
	{Name: "fr-blocked", Reason: IPBlocked, Text: []string{
		"ip & (bloquee|bloque|blacklistee|refusee)",
		"(bloque|bloques|bloquee|bloquees) par (nos|notre|service|services)", "liste noire",
	}},
	{Name: "fr-later", Reason: System, Text: []string{
		"veuillez (essayer|reessayer) plus tard", "service refuse", "reessayez plus tard", "essayez plus tard",
		"temporairement indisponible", "service indisponible",
	}},
	{Name: "fr-refused", Reason: Policy, Text: []string{
		"message refuse", "mail refuse", "courriel refuse", "rejete", "non autorise", "acces refuse", "refuse",
	}, Code: "5", Unless: []string{"refused"}},
	// German.
	{Name: "de-too-large", Reason: TooLarge, Text: []string{
		"zu gross", "(maximale|zulassige|zulaessige|erlaubte) (grosse|groesse|nachrichtengrosse|nachrichtengroesse)",
		"nachrichtengrosse", "nachrichtengroesse",
	}},
	{Name: "de-full", Reason: MailboxFull, Text: []string{
		"{postfach} (voll|uberfullt|ueberfuellt|uberschritten|ueberschritten|ausgelastet)",
		"(postfach|mailbox|konto|quota|speicherplatz|speicher) & (voll|erschopft|erschoepft|uberschritten|" +
			"ueberschritten|uberfullt|ueberfuellt)",
		"speicherplatz", "kein platz",
	}},
	{Name: "de-disabled", Reason: MailboxDisabled, Text: []string{
		"{postfach} (deaktiviert|stillgelegt|inaktiv|geschlossen|gekundigt|gekuendigt|abgeschaltet|" +
			"nicht aktiv|nicht mehr aktiv|geloscht|geloescht|nicht mehr verfugbar|nicht mehr verfuegbar)",
		"(postfach|mailbox|konto|account|benutzerkonto|empfanger|empfaenger|benutzer|nutzer|teilnehmer) gesperrt",
	}},
	{Name: "de-unknown", Reason: BadMailbox, Text: []string{
		"{postfach} (unbekannt|nicht bekannt|nicht gefunden|existiert nicht|existiert nicht mehr|nicht vorhanden|" +
			"ungultig|ungueltig|nicht existent|falsch|nicht vergeben|exisitert nicht)",
		"(unbekannte|unbekannter|unbekanntes|ungultige|ungueltige|ungultiger|ungueltiger|kein|keine|falsche|" +
			"nicht existierende) (benutzer|empfanger|empfaenger|adresse|postfach|empfangeradresse|empfaengeradresse|" +
			"mailadresse|email adresse|mail adresse|mailbox|nutzer|konto|solcher benutzer|solches postfach)",

		"(benutzer|empfanger|empfaenger|postfach|adresse|mailbox) & (existiert nicht|nicht bekannt|unbekannt|nicht gefunden)",
		"existiert (hier |)nicht", "nicht zustellbar & adresse",
	}, Unless: []string{"absender", "absenders", "absenderadresse", "absenderdomain", "domain", "befehl"}},
	{Name: "de-sender", Reason: SenderRejected, Text: []string{
		"(absender|absenders|absenderdomain|absenderadresse) & (abgelehnt|unbekannt|ungultig|ungueltig|gesperrt|existiert nicht|nicht erlaubt|nicht akzeptiert|" +
			"verweigert|blockiert)",
	}},
	{Name: "de-domain", Reason: BadDomain, Text: []string{
		"domain (empfangers |empfaengers |)(nicht gefunden|existiert nicht|unbekannt|nicht vorhanden)", "unbekannte domain",
	}},
	{Name: "de-rate", Reason: RateLimited, Text: []string{"zu viele (verbindungen|nachrichten|mails|gleichzeitige|anfragen|e mails)"}},
	{Name: "de-blocked", Reason: IPBlocked, Text: []string{
		"ip & (gesperrt|blockiert|sperrliste)", "schwarze liste", "schwarzen liste", "blackliste", "sperrliste",
	}},
	{Name: "de-refused", Reason: Policy, Text: []string{
		"abgelehnt", "verweigert", "nicht erlaubt", "nicht akzeptiert", "zuruckgewiesen", "zurueckgewiesen",
	}},
	// Italian.
	{Name: "it-too-large", Reason: TooLarge, Text: []string{
		"troppo grande", "dimensione & (massima|superata|superiore|eccede)", "dimensioni & (massime|superate|eccedono)",
	}, Unless: []string{"casella", "quota"}},
	{Name: "it-rate", Reason: RateLimited, Text: []string{"(troppe|troppi) (connessioni|messaggi|mail|errori|richieste)"}},
	{Name: "it-full", Reason: MailboxFull, Text: []string{
		"{casella} (piena|pieno|esaurita|superata|satura|oltre)", "casella & piena", "quota & (superata|esaurita)",
		"spazio (esaurito|insufficiente|disco)",
	}},
	{Name: "it-disabled", Reason: MailboxDisabled, Text: []string{
		"{casella} (disattivata|disattivato|disabilitata|disabilitato|sospesa|sospeso|non attiva|non attivo|chiusa|" +
			"chiuso|inattiva|inattivo|cancellata|scaduta)",
		"(casella|casella posta|account|utente|destinatario) (bloccata|bloccato)",
	}},
	{Name: "it-unknown", Reason: BadMailbox, Text: []string{
		"{casella} (sconosciuto|sconosciuta|inesistente|non esiste|non trovato|non trovata|non valido|non valida|" +
			"errato|errata|non esistente|non presente)",
		"{casella} & non esiste", "non esiste", "utente sconosciuto",
	}, Unless: []string{"mittente", "dominio"}},
	{Name: "it-sender", Reason: SenderRejected, Text: []string{
		"mittente & (rifiutato|sconosciuto|non valido|bloccato|non esiste|non autorizzato)",
	}},
	{Name: "it-domain", Reason: BadDomain, Text: []string{"dominio & (sconosciuto|inesistente|non esiste|non trovato)"}},
	{Name: "it-blocked", Reason: IPBlocked, Text: []string{"lista nera", "liste nere"}},
	{Name: "it-refused", Reason: Policy, Text: []string{"rifiutato", "rifiutata", "non consentito", "accesso negato", "respinto", "respinta"}},
	// Dutch and the Nordic languages.
	{Name: "nl-full", Reason: MailboxFull, Text: []string{"{box-north} (vol|full|fuld|fullt|taynna)", "(mailbox|postvak) vol"}},
	{Name: "nl-unknown", Reason: BadMailbox, Text: []string{
		"{box-north} (onbekend|bestaat niet|niet gevonden|ongeldig|niet bekend|okand|finns inte|finns ej|saknas|" +
			"ukjent|finnes ikke|ikke funnet|ukendt|findes ikke|eksisterer ikke|tuntematon|ei loydy|ei ole olemassa)",
		"(onbekende|okand|ukjent|ukendt|tuntematon) (gebruiker|ontvanger|adres|mottagare|anvandare|mottaker|bruker|" +
			"modtager|bruger|kayttaja|vastaanottaja)",
		"bestaat niet", "finns inte", "finnes ikke", "findes ikke", "eksisterer ikke",
	}, Unless: []string{"afzender", "avsandare", "avsandaren", "avsender", "afsender", "domein", "domanen", "domenet"}},
	{Name: "nl-blocked", Reason: IPBlocked, Text: []string{"zwarte lijst"}},
	{Name: "nl-disabled", Reason: MailboxDisabled, Text: []string{
		"{box-north} (geblokkeerd|uitgeschakeld|niet actief|opgeheven|inaktiverad|sperrad|avstangt|deaktivert|" +
			"deaktiveret|suljettu)",
	}, Unless: []string{"ip"}},
	// Polish, Czech, Hungarian, Romanian.
	{Name: "pl-full", Reason: MailboxFull, Text: []string{
		"{skrzynka} (pelna|pelne|przepelniona|przepelnione|przekroczona)", "skrzynka & (pelna|przepelniona)",
		"przekroczony limit", "przekroczono & (limit|pojemnosc)", "schranka & (plna|preplnena)", "postafiok & (megtelt|tele)",
		"megtelt", "casuta & plina",
	}},
	{Name: "pl-unknown", Reason: BadMailbox, Text: []string{
		"{skrzynka} (nie istnieje|nieznany|nieznana|nieznane|nie znaleziony|nie znaleziono|niepoprawny|nieprawidlowy|" +
			"nie zostal znaleziony)",
		"{skrzynka} & nie istnieje", "nie istnieje", "(nie ma takiego|nie znaleziono) (uzytkownika|konta|adresu|adresata|odbiorcy)",
		"brak (uzytkownika|takiego|konta|skrzynki)",
		"{box-slav} (neexistuje|nenalezen|nezname|neznamy|nenalezena|nem letezik|ismeretlen|nem talalhato|necunoscut|" +
			"nu exista|inexistent|ne postoji|nepoznat)",
		"neexistuje", "nem letezik", "nu exista", "ne postoji",
	}, Unless: []string{"nadawca", "odosielatel", "odesilatel", "felado", "domena"}},
	{Name: "pl-blocked", Reason: IPBlocked, Text: []string{"czarnej liscie", "czarna lista", "czarnej listy"}},
	{Name: "pl-disabled", Reason: MailboxDisabled, Text: []string{
		"{skrzynka} (zablokowane|zablokowana|nieaktywne|nieaktywna|zawieszone|zawieszona|wylaczone|wylaczona|" +
			"usuniete|usunieta)",
	}},
	// Russian and Ukrainian.
	{Name: "ru-too-large", Reason: TooLarge, Text: []string{
		"слишком (большой|большое|велик|велико)", "размер (письма|сообщения|вложения)",
	}},
	{Name: "ru-rate", Reason: RateLimited, Text: []string{"слишком много (соединений|подключений|писем|сообщений|запросов)", "слишком часто"}},
	{Name: "ru-full", Reason: MailboxFull, Text: []string{
		"{yashchik} (переполнен|переполнена|полон|заполнен)", "переполнен", "переполнена", "превышена квота",
		"квота превышена", "превышен (размер|лимит) (ящика|почтового|квоты)", "переповнена",
	}},
	{Name: "ru-disabled", Reason: MailboxDisabled, Text: []string{
		"{yashchik} (отключен|отключена|удален|удалена|неактивен|неактивна|деактивирован|" +
			"приостановлен|закрыт)",
		"ящик & (заблокирован|отключен|удален)", "(пользователь|адресат|получатель|аккаунт|абонент|учетная запись) (заблокирован|заблокирована)",
	}},
	{Name: "ru-unknown", Reason: BadMailbox, Text: []string{
		"{yashchik} (не найден|не найдена|не существует|неизвестен|не зарегистрирован|отсутствует|неверный|" +
			"не знайдено|не існує)",
		"(нет|не существует) (такого|такой) (пользователя|адреса|ящика|получателя|адресата|почтового ящика|почты)",
		"такого пользователя нет", "неизвестный (пользователь|получатель|адресат)", "{yashchik} & не существует",
		"не существует", "не найден", "не зарегистрирован", "немає такого",
	}, Unless: []string{"домен", "отправитель", "отправителя"}},
	{Name: "ru-sender", Reason: SenderRejected, Text: []string{
		"(отправитель|отправителя|отправителю) & (заблокирован|отклонен|отклонена|неизвестен|запрещен|запрещена|не существует)",
	}},
	{Name: "ru-domain", Reason: BadDomain, Text: []string{"домен & (не найден|не существует)"}},
	{Name: "ru-spam", Reason: SpamContent, Text: []string{"спам", "спама", "похоже на спам"}},
	{Name: "ru-blocked", Reason: IPBlocked, Text: []string{"черном списке", "черный список", "блэклист"}},
	{Name: "ru-refused", Reason: Policy, Text: []string{"отклонено", "отказано", "запрещено", "доступ запрещен"}},
	// Turkish.
	{Name: "tr-full", Reason: MailboxFull, Text: []string{"(kutusu|kota|kutu) (dolu|doldu|asildi|asimi)", "kota & (asildi|doldu)"}},
	{Name: "tr-unknown", Reason: BadMailbox, Text: []string{
		"{kutu} (bulunamadi|yok|gecersiz|bilinmiyor|mevcut degil)", "boyle bir (kullanici|hesap|adres)", "mevcut degil",
		"bilinmeyen (kullanici|alici|adres)", "gecersiz alici",
	}, Unless: []string{"gonderen", "gonderici", "alan adi"}},
	{Name: "tr-disabled", Reason: MailboxDisabled, Text: []string{"(hesap|hesabi|kullanici) (askiya|kapali|pasif|devre disi|kapatildi)"}},
	// Chinese, Japanese, Korean.
	{Name: "zh-too-large", Reason: TooLarge, Text: []string{
		"邮件过大", "邮件太大", "邮件大小", "附件过大", "郵件過大", "郵件太大", "メッセージサイズ", "サイズが大き", "サイズを超", "サイズが上限", "サイズが制限", "메시지가 너무", "메일 크기",
	}},
	{Name: "zh-full", Reason: MailboxFull, Text: []string{
		"邮箱已满", "信箱已满", "邮箱空间不足", "空间不足", "空间已满", "容量不足", "超过容量", "超出配额", "郵箱已滿", "信箱已滿", "信箱空間不足", "メールボックスがいっぱい", "容量オーバー",
		"容量超過", "メールボックスの容量", "いっぱいです", "사서함이 가득", "용량 초과", "편지함이 가득", "용량이 초과",
	}},
	{Name: "zh-disabled", Reason: MailboxDisabled, Text: []string{
		"已被禁用", "被停用", "已停用", "被冻结", "已冻结", "已注销", "被锁定", "已被锁定", "帐号被禁", "账号被禁", "已被停用", "停止されて", "無効になって", "利用停止", "휴면",
		"정지된", "탈퇴",
	}},
	{Name: "zh-unknown", Reason: BadMailbox, Text: []string{
		"用户不存在", "邮箱不存在", "账号不存在", "帐号不存在", "地址不存在", "收件人不存在", "不存在的用户", "无此用户", "没有此用户", "找不到用户", "未找到用户", "无效的收件人",
		"收件人地址无效", "用戶不存在", "信箱不存在", "使用者不存在", "收件者不存在", "查無此", "不存在", "查无此", "存在しません", "存在しない", "宛先不明", "ユーザー不明",
		"ユーザが見つかりません", "見つかりません", "見つかりませんでした", "アドレスが不正", "該当するユーザ", "존재하지 않", "없는 사용자", "없는 계정", "사용자를 찾을 수 없",
		"수신자를 찾을 수 없", "알 수 없는 사용자",
	}, Unless: []string{"发件人", "域名", "寄件者", "送信元", "逆引き"}},
	{Name: "zh-sender", Reason: SenderRejected, Text: []string{"发件人 & (拒绝|不存在|非法|被拒|无效)", "送信元 & (拒否|不正)", "寄件者 & (拒絕|無效)"}},
	{Name: "zh-spam", Reason: SpamContent, Text: []string{"垃圾邮件", "垃圾郵件", "迷惑メール", "スパム", "스팸"}},
	{Name: "zh-virus", Reason: Virus, Text: []string{"病毒", "ウイルス", "ウィルス", "바이러스"}},
	{Name: "zh-rate", Reason: RateLimited, Text: []string{"频率", "過多", "频繁", "頻繁", "超过限制", "接続数", "送信制限", "连接数", "連線數"}},
	{Name: "zh-blocked", Reason: IPBlocked, Text: []string{"黑名单", "黑名單", "ブラックリスト", "블랙리스트"}},
	{Name: "zh-refused", Reason: Policy, Text: []string{"拒绝", "拒絕", "拒否", "被拒", "거부"}},
	// Others.
	{Name: "el-unknown", Reason: BadMailbox, Text: []string{
		"δεν υπαρχει", "αγνωστος (χρηστης|παραληπτης)", "δεν υπάρχει", "άγνωστος (χρήστης|παραλήπτης)",
	}},
	{Name: "ar-unknown", Reason: BadMailbox, Text: []string{"غير موجود", "غير معروف", "المستخدم غير موجود"}},
	{Name: "he-unknown", Reason: BadMailbox, Text: []string{"לא קיים", "לא קיימת", "משתמש לא ידוע"}},
	{Name: "th-unknown", Reason: BadMailbox, Text: []string{"ไม่พบผู้ใช้", "ไม่มีผู้ใช้"}},
	{Name: "id-unknown", Reason: BadMailbox, Text: []string{
		"(pengguna|alamat|akun|penerima) tidak (ditemukan|ada|dikenal|terdaftar|valid)", "nguoi dung khong ton tai",
		"khong ton tai",
	}},
}

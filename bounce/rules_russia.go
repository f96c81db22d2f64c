package bounce

// mailRu answers for an unknown mailbox after the message.
var mailRu = []Rule{
	{Name: "mail.ru-disabled", tag: true, Reason: MailboxDisabled, Text: []string{
		"local mailbox unavailable account disabled", "invalid mailbox & account disabled", "local mailbox & user terminated",
	}},
	{Name: "mail.ru-unknown", tag: true, Reason: BadMailbox, Text: []string{
		"message not accept invalid mailbox", "local mailbox unavailable", "local mailbox & unavailable",
	}},
	{Name: "mail.ru-ptr", tag: true, Reason: NoPTR, Text: []string{"mail from hosts with dynamic ip"}},
	{Name: "mail.ru-blocked", tag: true, Reason: IPBlocked, Text: []string{"support bl", "access from ip address blocked"}},
}

// yandex says "550 5.7.1 No such user!": the words count.
var yandex = []Rule{
	{Name: "yandex-unknown", Reason: BadMailbox, Text: []string{"no such user"}},
	{Name: "yandex-blocked", tag: true, Reason: MailboxDisabled, Text: []string{"policy rejected on target address"}},
	{Name: "yandex-spam", tag: true, Reason: SpamContent, Text: []string{"under suspicion of spam"}},
}

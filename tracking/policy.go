package tracking

import "fmt"

// Mode says how much may be kept of an open or a click.
type Mode uint8

// The modes, each keeping more than the one before.
const (
	// Unset leaves the choice to the next wider policy: the recipient's to the
	// message's, the message's to the tracker's, and the tracker's to Individual.
	Unset Mode = iota
	// Off leaves links as they are and places no pixel; hits on mail that was sent
	// before are not recorded.
	Off
	// Anonymous counts hits of a mailing. Nothing about the recipient is in the
	// token, and nothing about the client in the event.
	Anonymous
	// Individual tells which mail was opened or clicked. Of the client it keeps
	// the shortened address (/24 or /48) and the family.
	Individual
	// Full keeps the client's address and user agent whole.
	Full
)

var modeNames = [...]string{"unset", "off", "anonymous", "individual", "full"}

// String is the stable name, such as "anonymous".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", m)
}

// ParseMode reads the form of String.
func ParseMode(s string) (Mode, error) {
	for i, name := range modeNames {
		if name == s {
			return Mode(i), nil
		}
	}
	return Unset, fmt.Errorf("tracking: unknown mode %q", s)
}

// MarshalText writes the form of String.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the form of String.
func (m *Mode) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMode(string(text))
	return err
}

// restrict returns the stricter of two modes; Unset does not restrict.
func (m Mode) restrict(by Mode) Mode {
	if m == Unset || by != Unset && by < m {
		return by
	}
	return m
}

// kind is the kind of the recipient's token in links and pixels of this mode,
// which must be Anonymous or more.
func (m Mode) kind() tokenKind {
	switch m {
	case Anonymous:
		return kindAnonymous
	case Full:
		return kindFull
	}
	return kindEngage
}

// Policy is how much may be kept of opens and of clicks. Policies of the tracker,
// the message and the recipient are combined, and so is what [Options.Consent]
// says at the time of a hit: each can only restrict.
type Policy struct {
	Opens, Clicks Mode
}

// restrict returns a policy that keeps no more than p, nor than by.
func (p Policy) restrict(by Policy) Policy {
	return Policy{Opens: p.Opens.restrict(by.Opens), Clicks: p.Clicks.restrict(by.Clicks)}
}

// check returns an error that names a mode that does not exist.
func (p Policy) check() error {
	for _, m := range []Mode{p.Opens, p.Clicks} {
		if m > Full {
			return fmt.Errorf("tracking: policy has unknown %v: use Off, Anonymous, Individual or Full", m)
		}
	}
	return nil
}

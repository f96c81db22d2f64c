package workertest

// Cut is a way in which connections break and come back.
type Cut struct {
	Name        string
	Begin, Heal func(*Proxy)
}

// Cuts are all ways: connections are reset; they are silent and then go on; they are
// silent for good.
func Cuts() []Cut {
	return []Cut{
		{"reset", (*Proxy).Reset, (*Proxy).Heal},
		{"silent", (*Proxy).Silence, (*Proxy).Heal},
		{"lost", (*Proxy).Silence, func(p *Proxy) { p.Lose(); p.Heal() }},
	}
}

// CutOff cuts one worker after the other off from the store, and heals that: each has a
// way there of its own, of one proxy or several, and is cut in a way of its own. The
// others go on meanwhile, and it itself goes on after.
func (c *Crew) CutOff(workers []*Worker, ways [][]*Proxy) {
	c.Helper()
	for i, cut := range Cuts() {
		c.All(20)
		mended := c.Trouble(workers[i])
		for _, p := range ways[i] {
			cut.Begin(p)
		}
		for j, w := range workers {
			if j != i {
				w.Await(20)
			}
		}
		for _, p := range ways[i] {
			cut.Heal(p)
		}
		mended()
	}
}

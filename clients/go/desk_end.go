package eventfold

import (
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
)

// wait is how long nothing is due if nothing happens; negative: for ever.
func (d *desk) wait() time.Duration {
	now := time.Now()
	var soonest time.Time
	note := func(at time.Time) {
		if soonest.IsZero() || at.Before(soonest) {
			soonest = at
		}
	}
	for _, one := range d.repeated {
		note(one.at)
	}
	if len(d.open) > 0 && !d.isStopped {
		note(d.extendWaiting(now))
	}
	if d.urgent {
		return 0
	}
	if !d.dueSince.IsZero() {
		note(d.dueSince.Add(ackDelay))
	}
	for _, one := range d.sent {
		note(one.at.Add(silenceMax))
	}
	if soonest.IsZero() {
		return -1
	}
	return max(0, soonest.Sub(now))
}

// isStuck says whether the server has left something unanswered for too long.
func (d *desk) isStuck() bool {
	now := time.Now()
	for _, one := range d.sent {
		if now.Sub(one.at) > silenceMax {
			return true
		}
	}
	return false
}

// stop: nothing more is handed out; what is in hand can still be settled.
func (d *desk) stop() {
	d.isStopped = true
	d.waiting = nil
}

// close: what was settled until now is the last.
func (d *desk) close() {
	d.stop()
	d.isClosed = true
}

// isFinished says whether the last has been sent.
func (d *desk) isFinished() bool {
	return d.isClosed && len(d.due) == 0 && len(d.repeated) == 0
}

// fail: the session is over, and nothing of it can be settled any more.
func (d *desk) fail(target string) {
	for _, one := range d.sent {
		for _, unsure := range one.items {
			if unsure.state == itemSettling {
				d.lose(unsure, connectionFailed(target,
					"the session broke before the answer came; the event may be delivered again"))
			}
		}
	}
	const text = "the session broke, and the event is delivered again"
	for _, unsent := range [][]batch{d.due, d.repeated} {
		for _, one := range unsent {
			for _, item := range one.items {
				if item.state == itemSettling {
					d.lose(item, d.leaseLost(item, text))
				}
			}
		}
	}
	for _, one := range d.opened() {
		d.forget(one)
		one.state, one.err = itemLost, d.leaseLost(one, text)
		close(one.told)
	}
	d.waiting = nil
}

func (d *desk) leaseLost(one *item, text string) error {
	return refusal(ErrLeaseLost, codes.FailedPrecondition, text, map[string]string{
		"group":    d.group,
		"position": strconv.FormatInt(one.event.Position, 10),
		"lease":    strconv.FormatInt(one.lease, 10),
	})
}

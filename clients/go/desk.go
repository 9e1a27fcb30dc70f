package eventfold

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

const (
	// Acks wait so long for company, unless the consumer waits too: one message for many costs
	// both sides less, and one that is lost with the session is delivered again.
	ackDelay = 10 * time.Millisecond
	// A settlement that the storage refused is sent again after so long.
	settleAgain       = 250 * time.Millisecond
	positionsMax      = 10_000
	reasonBytesMax    = 1_024
	creditsDefault    = 100
	underWayMax       = 10_000
	ackTimeoutUnknown = 365 * 24 * time.Hour
)

type itemState int

const (
	itemWaiting itemState = iota
	itemInHand
	itemSettling
	itemSettled
	itemLost
)

// item is a delivered event.
type item struct {
	event   *RecordedEvent
	lease   int64
	attempt int
	// When the lease began, or was extended, by the clock of this process.
	touched   time.Time
	state     itemState
	err       error
	wasParked bool
	// Closed when it is settled or lost.
	told chan struct{}
}

func (i *item) isOpen() bool { return i.state == itemWaiting || i.state == itemInHand }

// settling is what is to be done with items that are sent together.
type settling struct {
	action   eventfoldv1.SettleAction
	reason   string
	hasDelay bool
	delay    time.Duration
}

type batch struct {
	at    time.Time
	what  settling
	items []*item
}

// lost is a delivery that was settled too late, or not at all.
type lost struct {
	item *item
	err  error
}

// desk is what one session has of the events of a group: waiting, in hand, and to be settled. No
// I/O, and no lock: the session around it has one.
type desk struct {
	group      string
	start      *eventfoldv1.ConsumeStart
	creditsMax int
	creditsDue int
	numbers    uint64
	waiting    []*item
	// By position.
	open map[int64]*item
	// Also those that were lost meanwhile, until their handlers come back.
	inHand    map[*item]bool
	lost      []lost
	due       []batch
	dueSince  time.Time
	repeated  []batch
	sent      map[uint64]batch
	settings  *eventfoldv1.GroupSettings
	session   int64
	urgent    bool
	starving  bool
	isStopped bool
	isClosed  bool
}

func newDesk(group, consumer string, underWay int) *desk {
	return &desk{
		group: group, start: &eventfoldv1.ConsumeStart{Group: group, Consumer: consumer},
		creditsMax: underWay, creditsDue: underWay, open: map[int64]*item{},
		inHand: map[*item]bool{}, sent: map[uint64]batch{},
	}
}

// receive takes what the server sent; says whether it was of use to the work of the group.
func (d *desk) receive(message *eventfoldv1.ConsumeResponse) bool {
	if message.Started != nil {
		d.session, d.settings = message.Started.Session, message.Started.Settings
	}
	now := time.Now()
	events := min(len(message.Events), len(message.Leases), len(message.Attempts))
	for i := range events {
		one := &item{
			event: recorded(message.Events[i]), lease: message.Leases[i],
			attempt: int(message.Attempts[i]), touched: now, told: make(chan struct{}),
		}
		d.open[one.event.Position] = one
		if !d.isStopped {
			d.waiting = append(d.waiting, one)
		}
	}
	for _, answer := range message.Answers {
		d.answered(answer)
	}
	return events+len(message.Answers) > 0
}

func (d *desk) answered(answer *eventfoldv1.SettleAnswer) {
	found, ok := d.sent[answer.Number]
	if !ok {
		return
	}
	delete(d.sent, answer.Number)
	isExtension := found.what.action == eventfoldv1.SettleAction_SETTLE_ACTION_EXTEND
	var refused error
	if status := answer.GetRefused(); status != nil {
		refused = errorOfStatus(status)
		if codes.Code(status.Code) == codes.Unavailable && !isExtension {
			d.repeated = append(d.repeated,
				batch{time.Now().Add(settleAgain), found.what, found.items})
			return
		}
	}
	late := answer.RefusedPositions
	for _, one := range found.items {
		position := one.event.Position
		if isExtension && !one.isOpen() {
			continue // What it was settled with has an answer of its own.
		}
		switch {
		case refused != nil && (len(late) == 0 || slices.Contains(late, position)):
			d.lose(one, refused)
		case isExtension:
			one.touched = time.Now()
		case one.state == itemSettling:
			one.wasParked = slices.Contains(answer.GetSettled().GetParked(), position)
			one.state = itemSettled
			close(one.told)
		}
	}
}

func (d *desk) lose(one *item, err error) {
	if one.state == itemSettled || one.state == itemLost {
		return
	}
	wasWaiting := one.state == itemWaiting
	d.forget(one)
	one.state, one.err = itemLost, err
	close(one.told)
	if !wasWaiting {
		d.lost = append(d.lost, lost{one, err})
	}
}

// forget notes that it is not under way any more, and makes room for another one.
func (d *desk) forget(one *item) {
	if d.open[one.event.Position] == one {
		delete(d.open, one.event.Position)
		d.creditsDue++
	}
}

// next is the next delivery; nil: there is none yet.
func (d *desk) next() *item {
	for len(d.waiting) > 0 {
		one := d.waiting[0]
		d.waiting = d.waiting[1:]
		if one.isOpen() {
			d.starving = false
			return one
		}
	}
	d.starving = true
	return nil
}

// begin notes that somebody handles it from now on; false: it was lost before.
func (d *desk) begin(one *item) bool {
	if one.state != itemWaiting {
		return false
	}
	one.state = itemInHand
	d.inHand[one] = true
	if time.Since(one.touched) > d.ackTimeout()/3 {
		// What it waited here is not to be missing for its handling.
		d.settle(one, settling{action: eventfoldv1.SettleAction_SETTLE_ACTION_EXTEND})
	}
	return true
}

// settle settles a delivery with the next message; one that is lost comes to nothing.
func (d *desk) settle(one *item, what settling) {
	isExtension := what.action == eventfoldv1.SettleAction_SETTLE_ACTION_EXTEND
	if !isExtension {
		delete(d.inHand, one)
	}
	if !one.isOpen() {
		return
	}
	what.reason = cutReason(what.reason)
	d.dueFor(what, one)
	if isExtension {
		one.touched = time.Now()
		d.urgent = true
		return
	}
	one.state = itemSettling
	d.forget(one)
	switch what.action {
	case eventfoldv1.SettleAction_SETTLE_ACTION_ACK:
		if d.dueSince.IsZero() {
			d.dueSince = time.Now()
		}
		return
	case eventfoldv1.SettleAction_SETTLE_ACTION_RETRY:
		d.giveBack(one)
	case eventfoldv1.SettleAction_SETTLE_ACTION_PARK:
		if d.settings.GetOnPark() != eventfoldv1.OnPark_ON_PARK_LET_PASS {
			d.giveBack(one)
		}
	}
	d.urgent = true
}

// cutReason keeps what fits of a reason. A text that is no UTF-8 cannot be sent, and would break
// the session with all that is in hand.
func cutReason(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	return strings.ToValidUTF8(reason[:min(len(reason), reasonBytesMax)], "")
}

func (d *desk) dueFor(what settling, one *item) {
	for i := range d.due {
		if d.due[i].what == what {
			d.due[i].items = append(d.due[i].items, one)
			return
		}
	}
	d.due = append(d.due, batch{what: what, items: []*item{one}})
}

// giveBack drops the later events of a stream that goes back with one of them.
func (d *desk) giveBack(first *item) {
	if d.settings.GetUnordered() {
		return
	}
	for _, one := range d.opened() {
		if one.event.Stream == first.event.Stream && one.lease == first.lease {
			d.lose(one, d.leaseLost(one, "an earlier event of its stream was given back"))
		}
	}
}

// opened are the items that are not settled, in order of position.
func (d *desk) opened() []*item {
	items := make([]*item, 0, len(d.open))
	for _, one := range d.open {
		items = append(items, one)
	}
	slices.SortFunc(items, func(a, b *item) int {
		return cmp.Compare(a.event.Position, b.event.Position)
	})
	return items
}

func (d *desk) ackTimeout() time.Duration {
	if d.settings.GetAckTimeout() == nil {
		return ackTimeoutUnknown
	}
	return d.settings.AckTimeout.AsDuration()
}

// extendWaiting extends the leases of what waits here; returns when to look again. It waits because
// of this process, not because of a handler; one that hangs is told by the lease of what it has in
// hand, and then nothing is extended.
func (d *desk) extendWaiting(now time.Time) time.Time {
	third := d.ackTimeout() / 3
	soonest := now.Add(third)
	busy := map[int64]bool{}
	for one := range d.inHand {
		if now.Sub(one.touched) > 3*third {
			return soonest
		}
		busy[one.lease] = true
	}
	for _, one := range d.opened() {
		if one.state != itemWaiting || busy[one.lease] {
			continue
		}
		if now.Sub(one.touched) >= third {
			d.settle(one, settling{action: eventfoldv1.SettleAction_SETTLE_ACTION_EXTEND})
		}
		if at := one.touched.Add(third); at.Before(soonest) {
			soonest = at
		}
	}
	return soonest
}

// message is all that is due; nil: nothing is.
func (d *desk) message() *eventfoldv1.ConsumeRequest {
	now := time.Now()
	message := &eventfoldv1.ConsumeRequest{}
	if d.start != nil {
		message.Start, d.start = d.start, nil
	} else if !d.isDue(now) {
		return nil
	}
	for _, one := range d.due {
		for chunk := range slices.Chunk(one.items, positionsMax) {
			d.add(message, now, one.what, chunk)
		}
	}
	var later []batch
	for _, one := range d.repeated {
		if one.at.After(now) {
			later = append(later, one)
		} else {
			d.add(message, now, one.what, one.items)
		}
	}
	d.due, d.repeated, d.dueSince, d.urgent = nil, later, time.Time{}, false
	if !d.isStopped {
		message.Credits, d.creditsDue = uint32(d.creditsDue), 0
	}
	if proto.Size(message) == 0 {
		return nil
	}
	return message
}

func (d *desk) isDue(now time.Time) bool {
	if d.urgent || slices.ContainsFunc(d.repeated, func(b batch) bool { return !b.at.After(now) }) {
		return true
	}
	enough := d.creditsMax / 4
	if d.starving || d.isStopped {
		enough = 0
	}
	if d.creditsDue > enough {
		return true
	}
	return !d.dueSince.IsZero() && now.Sub(d.dueSince) >= ackDelay
}

func (d *desk) add(
	message *eventfoldv1.ConsumeRequest, now time.Time, what settling, items []*item,
) {
	d.numbers++
	d.sent[d.numbers] = batch{now, what, items}
	one := &eventfoldv1.Settlement{Number: d.numbers, Action: what.action, Reason: what.reason}
	for _, settled := range items {
		one.Positions = append(one.Positions, settled.event.Position)
		one.Leases = append(one.Leases, settled.lease)
	}
	if what.hasDelay {
		one.Delay = durationpb.New(what.delay)
	}
	message.Settlements = append(message.Settlements, one)
}

package eventfold

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// Delivery is an event that a consumer has, until it settles it: Ack, Retry, Park or Skip, once.
// They do not wait for the server; Confirm does. What is settled too late is delivered again, and
// is told to OnLost.
type Delivery struct {
	// Event is the event.
	Event *RecordedEvent
	// Attempt is which delivery of it this is, from 1.
	Attempt int

	session *session
	item    *item
}

// Ack: it is handled, and the group never delivers it again.
func (d *Delivery) Ack() { d.settle(eventfoldv1.SettleAction_SETTLE_ACTION_ACK, "") }

// Retry: it failed, and is delivered again after the pause that the settings of the group say;
// parked when its attempts are used up. The later events of its stream that are here go back with
// it. The reason is for people who look at parked events: no personal data.
func (d *Delivery) Retry(reason string) {
	d.settle(eventfoldv1.SettleAction_SETTLE_ACTION_RETRY, reason)
}

// RetryAfter is Retry with a pause of the caller's, up to 24 h.
func (d *Delivery) RetryAfter(pause time.Duration, reason string) {
	d.session.settle(d.item, settling{
		action: eventfoldv1.SettleAction_SETTLE_ACTION_RETRY, reason: reason,
		hasDelay: true, delay: pause,
	})
}

// Park: it is set aside, until somebody replays or purges it.
func (d *Delivery) Park(reason string) {
	d.settle(eventfoldv1.SettleAction_SETTLE_ACTION_PARK, reason)
}

// Skip: it is not to be handled, and the group never delivers it again.
func (d *Delivery) Skip() { d.settle(eventfoldv1.SettleAction_SETTLE_ACTION_SKIP, "") }

// Extend: it takes longer, and stays here for another `ack_timeout` from now.
func (d *Delivery) Extend() { d.settle(eventfoldv1.SettleAction_SETTLE_ACTION_EXTEND, "") }

func (d *Delivery) settle(action eventfoldv1.SettleAction, reason string) {
	d.session.settle(d.item, settling{action: action, reason: reason})
}

// Confirm waits until the server has settled it, which is on disk then; wasParked says whether a
// Retry parked it because its attempts are used up.
//
// Errors: ErrLeaseLost, if it was settled too late; ErrConnectionFailed, if it is settled or
// delivered again; ErrOutcomeUnknown, if the context ended before; ErrInvalidValue, if it is not
// settled yet.
func (d *Delivery) Confirm(ctx context.Context) (wasParked bool, err error) {
	return d.session.confirm(ctx, d.item)
}

// ConsumeOption is a choice of Consume: UnderWay, ConsumerName, OnLost, OnReconnect, GiveUpAfter.
type ConsumeOption interface{ applyConsume(*consumeSettings) }

type consumeSettings struct {
	consumer   string
	underWay   int
	onLost     func(*Delivery, error)
	reconnects reconnectSettings
}

// UnderWay is how many events the consumer has at once, 1 to 10,000. Default: 100.
type UnderWay int

func (u UnderWay) applyConsume(s *consumeSettings) { s.underWay = int(u) }

// ConsumerName is for people who look at the group.
type ConsumerName string

func (n ConsumerName) applyConsume(s *consumeSettings) { s.consumer = string(n) }

type onLost func(*Delivery, error)

func (o onLost) applyConsume(s *consumeSettings) { s.onLost = o }

// OnLost is told of deliveries that were settled too late; they are delivered again.
func OnLost(tell func(*Delivery, error)) ConsumeOption { return onLost(tell) }

// Consumer takes part in the work of a group. It is used by one goroutine; its deliveries may be
// settled by others.
type Consumer struct {
	client   *Client
	group    string
	settings consumeSettings
	wrong    error
}

// Consume makes a consumer of a group.
//
//	consumer := store.Consume("mailer")
//	for delivery, err := range consumer.Deliveries(ctx) {
//		...
//		delivery.Ack()
//	}
//
// When the connection breaks, it connects again by itself, as a subscription does. What was in hand
// is then delivered again, here or elsewhere: at least once.
func (c *Client) Consume(group string, options ...ConsumeOption) *Consumer {
	consumer := &Consumer{client: c, group: group}
	consumer.settings.underWay = creditsDefault
	for _, option := range options {
		option.applyConsume(&consumer.settings)
	}
	if n := consumer.settings.underWay; n < 1 || n > underWayMax {
		consumer.wrong = invalidValue("under_way",
			fmt.Sprintf("a consumer has 1 to %d events at once, not %d", underWayMax, n), nil)
	}
	return consumer
}

// Deliveries gives events of the group, until the context or the loop ends it. Both let the server
// answer what was settled, and give back the rest. An error is the last thing that comes.
//
// Errors: ErrGroupNotFound, ErrFilterFailed, ErrPermissionDenied, ErrInvalidValue, and what else no
// further call can mend.
func (c *Consumer) Deliveries(ctx context.Context) iter.Seq2[*Delivery, error] {
	return func(yield func(*Delivery, error) bool) {
		err := c.deliveries(ctx, func(delivery *Delivery) bool {
			return !delivery.session.start(delivery.item) || yield(delivery, nil)
		}, func() {})
		if err != nil {
			yield(nil, err)
		}
	}
}

// deliveries hands out what is delivered, until `take` says that it is enough. Before a session is
// ended in good order it waits for `drain`.
func (c *Consumer) deliveries(
	ctx context.Context, take func(*Delivery) bool, drain func(),
) error {
	if c.wrong != nil {
		return c.wrong
	}
	again := &reconnects{
		settings: c.settings.reconnects, what: "consumer of " + c.group,
		timeout: c.client.conn.timeout,
	}
	for {
		again.begin()
		goesOn, err := c.consume(ctx, again, take, drain)
		if !goesOn {
			return nil
		}
		if err := again.again(ctx, err, 0); err != nil {
			return err
		}
	}
}

func (c *Consumer) consume(
	ctx context.Context, again *reconnects, take func(*Delivery) bool, drain func(),
) (goesOn bool, err error) {
	session := c.begin(ctx)
	defer c.tellLost(session)
	defer session.end(c.client.conn.timeout)
	for {
		one, isUseful, err := session.next(ctx)
		c.tellLost(session)
		if isUseful || session.isStarted() {
			again.heard(isUseful)
		}
		if err != nil {
			if ctx.Err() != nil {
				drain()
			}
			return true, err
		}
		if one == nil {
			continue
		}
		delivery := &Delivery{
			Event: one.event, Attempt: one.attempt, session: session, item: one,
		}
		if !take(delivery) {
			return false, nil
		}
	}
}

func (c *Consumer) tellLost(session *session) {
	for _, one := range session.takeLost() {
		if c.settings.onLost != nil {
			c.settings.onLost(&Delivery{
				Event: one.item.event, Attempt: one.item.attempt, session: session, item: one.item,
			}, one.err)
		}
	}
}

// Run hands each delivery to a function, until the context ends it. Events of one stream are
// handled one after the other, up to `concurrency` others at once. When the function returns nil,
// its event is acknowledged, unless the function settled it; when it returns an error, the event is
// retried, with the type of the error as the reason. An error of the context that ended is no
// failure of the event, which goes back as it is.
//
// Errors: as in Deliveries; nil if the context was cancelled.
func (c *Consumer) Run(
	ctx context.Context, concurrency int, handle func(context.Context, *Delivery) error,
) error {
	workers := newWorkers(ctx, concurrency, func(delivery *Delivery) {
		settleBy(ctx, delivery, handle)
	})
	err := c.deliveries(ctx, func(delivery *Delivery) bool {
		workers.put(delivery.Event.Stream, delivery)
		return true
	}, workers.wait)
	workers.wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func settleBy(
	ctx context.Context, delivery *Delivery, handle func(context.Context, *Delivery) error,
) {
	// It may have gone back with an earlier one of its stream while it waited.
	if ctx.Err() != nil || !delivery.session.start(delivery.item) {
		return
	}
	if err := handle(ctx, delivery); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return // It goes back when the session ends.
		}
		// The text of the error may hold personal data, and a reason is kept beside the log.
		delivery.Retry(fmt.Sprintf("%T", err))
		return
	}
	delivery.Ack()
}

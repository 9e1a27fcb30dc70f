package eventfold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

const (
	// The server sends something every 10 s at least: who hears nothing for so long has lost the
	// connection.
	silenceMax = 30 * time.Second
	// A call that held for so long was no failure, whether or not something came.
	heldMin = 10 * time.Second
)

// Reconnect tells of a call without an end that broke, and is begun again.
type Reconnect struct {
	// What the call is about, for people.
	What string
	// Err broke it.
	Err error
	// Failures in a row without anything new, this one included.
	Failures int
	// Pause until the next attempt.
	Pause time.Duration
	// Position from which it goes on; 0: from its start, or not known.
	Position int64
}

type reconnectSettings struct {
	onReconnect func(Reconnect)
	giveUpAfter time.Duration
}

// ReconnectOption is a choice of calls that are begun again when they break.
type ReconnectOption interface {
	SubscribeOption
	WatchOption
	ConsumeOption
}

type reconnectOption func(*reconnectSettings)

func (r reconnectOption) applySubscribe(s *subscribeSettings) { r(&s.reconnects) }
func (r reconnectOption) applyWatch(s *watchSettings)         { r(&s.reconnects) }
func (r reconnectOption) applyConsume(s *consumeSettings)     { r(&s.reconnects) }

// OnReconnect is called when the call broke, before the pause.
func OnReconnect(tell func(Reconnect)) ReconnectOption {
	return reconnectOption(func(s *reconnectSettings) { s.onReconnect = tell })
}

// GiveUpAfter is for how long a call that broke is begun again until its error is returned.
// Default: without limit. The first time, the timeout of the client is the limit.
func GiveUpAfter(limit time.Duration) ReconnectOption {
	return reconnectOption(func(s *reconnectSettings) { s.giveUpAfter = max(limit, 1) })
}

// isMendable says whether a call that has no end has a chance when it is begun again.
func isMendable(err error) bool {
	if hasReason(err, ErrUnexpectedAnswer) {
		// What gRPC makes of a connection that a proxy resets.
		code := general(err).Code
		return code == codes.Internal || code == codes.Unknown
	}
	found := general(err)
	return found != nil && (found.Code == codes.Unavailable ||
		hasReason(err, ErrOverloaded, ErrDeadlineExceeded))
}

// reconnects counts the failures in a row of a call without an end.
type reconnects struct {
	settings reconnectSettings
	what     string
	// For how long it is tried until the first answer came.
	timeout time.Duration

	wasHeard     bool
	began        time.Time
	failures     int
	failingSince time.Time
}

func (r *reconnects) begin() { r.began = time.Now() }

// heard notes that something came; isNew: something that the call is there for.
func (r *reconnects) heard(isNew bool) {
	r.wasHeard = true
	if isNew || time.Since(r.began) >= heldMin {
		// A call that breaks before it brings anything new is not tried faster and faster.
		r.failures = 0
	}
}

// again waits until the next attempt; its error is that of the call, if there is to be none.
func (r *reconnects) again(ctx context.Context, err error, position int64) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if !isMendable(err) {
		return err
	}
	now := time.Now()
	if r.failures == 0 {
		r.failingSince = now
	}
	r.failures++
	pause := retryPause(r.failures)
	limit := r.settings.giveUpAfter
	if !r.wasHeard {
		limit = r.timeout
	}
	if limit > 0 && now.Add(pause).Sub(r.failingSince) > limit {
		return err
	}
	if r.settings.onReconnect != nil {
		r.settings.onReconnect(Reconnect{r.what, err, r.failures, pause, position})
	}
	if !sleep(ctx, pause) {
		return ended(ctx)
	}
	return nil
}

// ended is the error of a call without an end whose context ended it.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return typed(&Error{
			Reason: ErrDeadlineExceeded, Code: codes.DeadlineExceeded, cause: ctx.Err(),
			Message: "the deadline of the context has passed",
		})
	}
	return &Error{
		Code: codes.Canceled, Message: "the context was cancelled", cause: ctx.Err(),
	}
}

// endlessCall is a call whose answers do not end, and which goes on when it breaks.
type endlessCall[M any] struct {
	what string
	// open begins a call for what is still to come.
	open func(context.Context) (grpc.ServerStreamingClient[M], error)
	// take takes a message: whether it brought anything new, and whether to go on.
	take func(*M) (isNew, goesOn bool, err error)
	// position is where it stands.
	position func() int64
	// failed may give the error of a call another meaning.
	failed func(error) error
}

// run goes on until the context ends it, whoever takes the messages, or an error that no further
// call can mend.
func (e *endlessCall[M]) run(
	ctx context.Context, c *Client, settings reconnectSettings,
) error {
	again := &reconnects{settings: settings, what: e.what, timeout: c.conn.timeout}
	for {
		again.begin()
		isOver, err := e.attempt(ctx, c, again)
		if isOver {
			return err
		}
		if err := again.again(ctx, e.failed(err), e.position()); err != nil {
			return err
		}
	}
}

func (e *endlessCall[M]) attempt(
	ctx context.Context, c *Client, again *reconnects,
) (isOver bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := newSilence(cancel)
	defer silence.stop()
	limit := silenceMax
	if !again.wasHeard {
		limit = again.timeout
	}
	silence.begin(limit)
	call, err := e.open(ctx)
	for err == nil {
		var message *M
		silence.begin(limit)
		message, err = call.Recv()
		silence.stop()
		if err != nil {
			break
		}
		limit = silenceMax
		isNew, goesOn, wrong := e.take(message)
		again.heard(isNew)
		if wrong != nil {
			return !isMendable(wrong), wrong
		}
		if !goesOn {
			return true, nil
		}
	}
	if silence.isOver() {
		return false, silent(c.conn.target, limit)
	}
	if errors.Is(err, io.EOF) {
		err = connectionFailed(c.conn.target, "the server ended the call")
	}
	return false, err
}

func silent(target string, limit time.Duration) error {
	return connectionFailed(target, fmt.Sprintf("nothing came for %s", limit))
}

// silence cancels a call that says nothing for too long.
type silence struct {
	timer *time.Timer
	fired chan struct{}
}

func newSilence(cancel context.CancelFunc) *silence {
	s := &silence{fired: make(chan struct{})}
	once := sync.OnceFunc(func() { close(s.fired) })
	s.timer = time.AfterFunc(time.Hour, func() {
		once()
		cancel()
	})
	s.timer.Stop()
	return s
}

func (s *silence) begin(limit time.Duration) { s.timer.Reset(limit) }

func (s *silence) stop() { s.timer.Stop() }

func (s *silence) isOver() bool {
	select {
	case <-s.fired:
		return true
	default:
		return false
	}
}

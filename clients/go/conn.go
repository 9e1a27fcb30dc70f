package eventfold

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// wakeMax is how long a call waits for a connection that is tried again.
const wakeMax = 200 * time.Millisecond

// Conn is the connection of a client, for the generated stubs: it sends the token, gives calls
// without a deadline the one of the client, repeats what may be repeated, and turns what fails into
// errors of this package.
//
//	transforms := eventfoldv1.NewTransformsClient(store.Conn())
//
// Calls that stream are not repeated, and Subscribe, Watch, Consume and AppendSession get no
// deadline.
type Conn struct {
	inner   *grpc.ClientConn
	target  string
	timeout time.Duration
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// Invoke makes a call with one request and one answer.
func (c *Conn) Invoke(
	ctx context.Context, method string, request, answer any, options ...grpc.CallOption,
) error {
	ctx, cancel, timeout := c.bounded(ctx)
	defer cancel()
	if ctx.Err() != nil {
		return notSent(ctx)
	}
	kind := safetyOf(method, request)
	wasUnsure := false
	began := time.Now()
	for failures := 1; ; failures++ {
		if c.isClosed() {
			return finalError(clientClosed(), kind, wasUnsure)
		}
		c.wake(ctx)
		err := c.inner.Invoke(ctx, method, request, answer, options...)
		if err == nil {
			return nil
		}
		failure := c.errorOfCall(ctx, err, kind, timeout)
		pause := retryPause(failures)
		if failures >= attemptsMax || isLate(ctx, pause+wakeMax) || !isRetryable(failure, kind) {
			return finalError(failure, kind, wasUnsure)
		}
		wasUnsure = wasUnsure || mayBeDone(failure)
		if !sleep(ctx, pause) {
			return interrupted(ctx, failure, kind, wasUnsure, time.Since(began))
		}
	}
}

// NewStream begins a call with several requests or answers.
func (c *Conn) NewStream(
	ctx context.Context, description *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	cancel, timeout := context.CancelFunc(func() {}), time.Duration(0)
	if !endless[method] {
		ctx, cancel, timeout = c.bounded(ctx)
	}
	if ctx.Err() != nil {
		cancel()
		return nil, notSent(ctx)
	}
	if c.isClosed() {
		cancel()
		return nil, clientClosed()
	}
	kind := safetyOf(method, nil)
	c.wake(ctx)
	inner, err := c.inner.NewStream(ctx, description, method, options...)
	if err != nil {
		defer cancel()
		return nil, c.errorOfCall(ctx, err, kind, timeout)
	}
	return &stream{inner, c, ctx, cancel, kind, timeout, description.ServerStreams}, nil
}

// isClosed says whether the client was closed, and no call can succeed any more.
func (c *Conn) isClosed() bool { return c.inner.GetState() == connectivity.Shutdown }

// wake tries at once to connect again, where gRPC would wait, and fail calls meanwhile: the server
// may be back by now.
func (c *Conn) wake(ctx context.Context) {
	if c.inner.GetState() != connectivity.TransientFailure {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wakeMax)
	defer cancel()
	c.inner.ResetConnectBackoff()
	// It leaves this state when it is connected.
	c.inner.WaitForStateChange(ctx, connectivity.TransientFailure)
}

// bounded gives a context the deadline of the client, unless it has one.
func (c *Conn) bounded(
	ctx context.Context,
) (context.Context, context.CancelFunc, time.Duration) {
	if deadline, ok := ctx.Deadline(); ok {
		return ctx, func() {}, time.Until(deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	return ctx, cancel, c.timeout
}

// stream is a call under way, whose errors are those of this package.
type stream struct {
	grpc.ClientStream
	conn    *Conn
	ctx     context.Context
	cancel  context.CancelFunc
	kind    safety
	timeout time.Duration
	streams bool
}

func (s *stream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil && s.streams {
		return nil
	}
	defer s.cancel()
	return s.told(err)
}

func (s *stream) SendMsg(message any) error { return s.told(s.ClientStream.SendMsg(message)) }

func (s *stream) told(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return s.conn.errorOfCall(s.ctx, err, s.kind, s.timeout)
}

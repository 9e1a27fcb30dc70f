package eventfold

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

type consumeCall = grpc.BidiStreamingClient[
	eventfoldv1.ConsumeRequest, eventfoldv1.ConsumeResponse]

// session is one call on a group: a goroutine reads, another one sends what is due.
type session struct {
	target string
	cancel context.CancelFunc
	// Something came; something may be due; nothing can be settled any more.
	came, wake, over chan struct{}

	mutex    sync.Mutex
	desk     *desk
	failure  error
	isOpened bool
	isUseful bool
}

// begin begins a session. It outlives the context, so that it can end in good order.
func (c *Consumer) begin(ctx context.Context) *session {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &session{
		target: c.client.conn.target, cancel: cancel,
		came: make(chan struct{}, 1), wake: make(chan struct{}, 1), over: make(chan struct{}),
		desk: newDesk(c.group, c.settings.consumer, c.settings.underWay),
	}
	go s.run(ctx, c.client)
	return s
}

func signal(one chan struct{}) {
	select {
	case one <- struct{}{}:
	default:
	}
}

func (s *session) run(ctx context.Context, c *Client) {
	defer s.cancel()
	// The server answers at once, so that a connection that is silent is told soon.
	silence := time.AfterFunc(c.conn.timeout, func() { s.fail(silent(s.target, c.conn.timeout)) })
	defer silence.Stop()
	call, err := c.stubs.ConsumerGroups.Consume(ctx)
	if err == nil {
		s.mutex.Lock()
		s.isOpened = true
		s.mutex.Unlock()
		go s.send(call)
	}
	for err == nil {
		var message *eventfoldv1.ConsumeResponse
		if message, err = call.Recv(); err != nil {
			break
		}
		silence.Stop()
		s.mutex.Lock()
		s.isUseful = s.desk.receive(message) || s.isUseful
		s.mutex.Unlock()
		signal(s.came)
		signal(s.wake)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.failure == nil && !errors.Is(err, io.EOF) {
		s.failure = err
	}
	s.desk.fail(s.target)
	close(s.over)
}

// fail breaks the session off.
func (s *session) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.failure == nil {
		s.failure = err
	}
	s.cancel()
}

func (s *session) send(call consumeCall) {
	for {
		s.mutex.Lock()
		message := s.desk.message()
		isFinished, isStuck, wait := s.desk.isFinished(), s.desk.isStuck(), s.desk.wait()
		s.mutex.Unlock()
		switch {
		case message != nil:
			if err := call.Send(message); err != nil {
				if !errors.Is(err, io.EOF) {
					s.fail(err)
				}
				return // Whoever reads the answers finds out why the call ended.
			}
			continue
		case isFinished:
			_ = call.CloseSend()
			return
		case isStuck:
			s.fail(silent(s.target, silenceMax))
			return
		}
		if !s.pause(wait) {
			return
		}
	}
}

// pause waits until something may be due; false: the session is over.
func (s *session) pause(wait time.Duration) bool {
	if wait < 0 {
		wait = silenceMax
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-s.over:
		return false
	case <-s.wake:
	case <-timer.C:
	}
	return true
}

// next is the next delivery; nil: something was lost, which is to be told.
func (s *session) next(ctx context.Context) (one *item, isUseful bool, err error) {
	for {
		if ctx.Err() != nil {
			// Also when there is something at hand all the time.
			return nil, isUseful, ended(ctx)
		}
		s.mutex.Lock()
		one, isUseful = s.desk.next(), s.isUseful
		isLost, failure := len(s.desk.lost) > 0, s.failure
		s.mutex.Unlock()
		if one != nil || isLost {
			return one, isUseful, nil
		}
		signal(s.wake)
		select {
		case <-ctx.Done():
			return nil, isUseful, ended(ctx)
		case <-s.came:
		case <-s.over:
			s.mutex.Lock()
			failure, isUseful = s.failure, s.isUseful
			s.mutex.Unlock()
			if failure == nil {
				failure = connectionFailed(s.target, "the server ended the call")
			}
			return nil, isUseful, failure
		}
	}
}

func (s *session) start(one *item) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	defer signal(s.wake)
	return s.desk.begin(one)
}

func (s *session) settle(one *item, what settling) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	defer signal(s.wake)
	s.desk.settle(one, what)
}

// isStarted says whether the server has answered at all.
func (s *session) isStarted() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.desk.session != 0
}

func (s *session) takeLost() []lost {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	all := s.desk.lost
	s.desk.lost = nil
	return all
}

func (s *session) confirm(ctx context.Context, one *item) (wasParked bool, err error) {
	s.mutex.Lock()
	isOpen := one.isOpen()
	// Its ack waits for no company.
	s.desk.urgent = true
	s.mutex.Unlock()
	if isOpen {
		return false, invalidValue("delivery", "settle the delivery before it is confirmed", nil)
	}
	signal(s.wake)
	timer := time.NewTimer(silenceMax)
	defer timer.Stop()
	select {
	case <-one.told:
		s.mutex.Lock()
		defer s.mutex.Unlock()
		return one.wasParked, one.err
	case <-ctx.Done():
	case <-timer.C:
	}
	return false, typed(&Error{
		Reason: ErrOutcomeUnknown, Code: codes.Unavailable, cause: ctx.Err(),
		Message: "no answer came; the event is settled, or delivered again",
	})
}

// end sends what is settled, gives back the rest, and waits for the answers.
func (s *session) end(timeout time.Duration) {
	s.mutex.Lock()
	isOpened := s.isOpened
	s.desk.close()
	s.mutex.Unlock()
	if isOpened {
		signal(s.wake)
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		select {
		case <-s.over:
			return
		case <-timer.C:
		}
	}
	s.cancel()
	<-s.over
}

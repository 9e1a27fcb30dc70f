package eventfold

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// ReadEnd is where a read ended.
type ReadEnd struct {
	// Stream is the name of the stream that Version is of; empty after ReadAll.
	Stream string
	// Version is the last version that was looked at; 0 after ReadAll.
	Version int64
	// Position is the last position that was looked at; 0: none.
	Position int64
	// ResumeToken stands for Position on this very log.
	ResumeToken []byte
	// EndReached: the read came to its end; else the limit ended it before.
	EndReached bool
	// OpenedFrom is the stream that the one at the end was opened from; empty: none.
	OpenedFrom string
}

func (e *ReadEnd) set(stream string, message *eventfoldv1.ReadEnd) {
	if message.Stream != "" {
		stream = message.Stream
	}
	*e = ReadEnd{
		Stream: stream, Version: message.Version, Position: message.Position,
		ResumeToken: message.ResumeToken, EndReached: message.EndReached,
		OpenedFrom: message.OpenedFrom,
	}
}

// Read reads one stream, in order of version.
//
//	for event, err := range store.Read(ctx, "account-1") {
//		if err != nil {
//			return err
//		}
//		...
//	}
//
// When the connection breaks, the read goes on behind the last event that came, without gap or
// repetition; a log that lost its tail meanwhile is noticed. An error is the last thing that comes.
//
// Errors: ErrStreamNotFound, ErrStreamDeleted, ErrVersionAhead, ErrStoreIncarnationChanged.
func (c *Client) Read(
	ctx context.Context, stream string, options ...ReadOption,
) iter.Seq2[*RecordedEvent, error] {
	settings := &readSettings{request: &eventfoldv1.ReadRequest{Stream: stream}, end: &ReadEnd{}}
	for _, option := range options {
		option.applyRead(settings)
	}
	return func(yield func(*RecordedEvent, error) bool) {
		at := &cursor{}
		hasEnded := false
		reading := answer[eventfoldv1.ReadResponse]{
			open: func(
				ctx context.Context,
			) (grpc.ServerStreamingClient[eventfoldv1.ReadResponse], error) {
				return c.stubs.EventStore.Read(ctx, at.read(settings.request))
			},
			take: func(message *eventfoldv1.ReadResponse) (bool, bool, error) {
				isNew, goesOn, err := at.yield(message.Events, yield)
				if message.End != nil && goesOn && err == nil {
					hasEnded = true
					err = at.finish()
					settings.end.set(at.stream(stream), message.End)
				}
				return isNew, goesOn, err
			},
			done: func() (bool, error) { return hasEnded, nil },
		}
		if err := reading.run(ctx, c); err != nil {
			yield(nil, err)
		}
	}
}

// ReadAll reads the log, in order of position, as it stood when the call began. When the
// connection breaks, it goes on as Read does.
//
// Errors: ErrPositionAhead, ErrStoreIncarnationChanged, ErrInvalidResumeToken, ErrCopiesAmbiguous.
func (c *Client) ReadAll(
	ctx context.Context, options ...ReadAllOption,
) iter.Seq2[*RecordedEvent, error] {
	settings := &readAllSettings{request: &eventfoldv1.ReadAllRequest{}, end: &ReadEnd{}}
	for _, option := range options {
		option.applyReadAll(settings)
	}
	return func(yield func(*RecordedEvent, error) bool) {
		at := &cursor{}
		hasEnded := false
		reading := answer[eventfoldv1.ReadAllResponse]{
			open: func(
				ctx context.Context,
			) (grpc.ServerStreamingClient[eventfoldv1.ReadAllResponse], error) {
				return c.stubs.EventStore.ReadAll(ctx, at.readAll(settings.request))
			},
			take: func(message *eventfoldv1.ReadAllResponse) (bool, bool, error) {
				isNew, goesOn, err := at.yield(message.Events, yield)
				if message.End != nil && goesOn && err == nil {
					hasEnded = true
					err = at.finish()
					settings.end.set("", message.End)
				}
				return isNew, goesOn, err
			},
			done: func() (bool, error) { return hasEnded, nil },
		}
		if err := reading.run(ctx, c); err != nil {
			yield(nil, err)
		}
	}
}

// cursor is where a read stands. A broken one begins again at the last event that came, inclusive,
// and compares its id: a store that lost its tail in between is noticed.
type cursor struct {
	last    *eventfoldv1.RecordedEvent
	count   int64
	repeats bool
}

func (c *cursor) stream(named string) string {
	if c.last != nil {
		return c.last.Stream
	}
	return named
}

func (c *cursor) read(request *eventfoldv1.ReadRequest) *eventfoldv1.ReadRequest {
	if c.last == nil {
		return request
	}
	c.repeats = true
	again := proto.CloneOf(request)
	again.FromVersion = proto.Int64(c.last.Version)
	if again.Follow != eventfoldv1.Follow_FOLLOW_UNSPECIFIED {
		// On from that very event: through all streams behind it, or in the open one.
		again.Stream = c.last.Stream
		if again.Follow == eventfoldv1.Follow_FOLLOW_OPEN {
			again.Follow = eventfoldv1.Follow_FOLLOW_UNSPECIFIED
		}
	}
	if again.Limit > 0 {
		again.Limit -= c.count - 1
	}
	return again
}

func (c *cursor) readAll(request *eventfoldv1.ReadAllRequest) *eventfoldv1.ReadAllRequest {
	if c.last == nil {
		return request
	}
	c.repeats = true
	again := proto.CloneOf(request)
	again.From = &eventfoldv1.ReadAllRequest_FromPosition{FromPosition: c.last.Position}
	if again.Limit > 0 {
		again.Limit -= c.count - 1
	}
	return again
}

// yield hands out the events of a message that are new.
func (c *cursor) yield(
	events []*eventfoldv1.RecordedEvent, yield func(*RecordedEvent, error) bool,
) (isNew, goesOn bool, err error) {
	if len(events) > 0 && c.repeats {
		if events[0].Id != c.last.Id {
			return false, false, changed(c.last.Position)
		}
		c.repeats = false
		events = events[1:]
	}
	for _, event := range events {
		c.last = event
		c.count++
		if !yield(recorded(event), nil) {
			return true, false, nil
		}
	}
	return len(events) > 0, true, nil
}

func (c *cursor) finish() error {
	if c.repeats {
		return changed(c.last.Position)
	}
	return nil
}

// changed is the error of a log that lost what was read.
func changed(position int64) error {
	text := fmt.Sprintf("the event at position %d was read, and is now missing or another one",
		position)
	facts := map[string]string{"token_position": strconv.FormatInt(position, 10)}
	return refusal(ErrStoreIncarnationChanged, codes.FailedPrecondition, text, facts)
}

// GetEvent reads one event by its id.
//
// Errors: ErrInvalidEventID, ErrEventNotFound.
func (c *Client) GetEvent(
	ctx context.Context, id string, options ...EventOption,
) (*RecordedEvent, error) {
	request := &eventfoldv1.GetEventRequest{Id: id}
	for _, option := range options {
		option.applyEvent(request)
	}
	answer, err := c.stubs.EventStore.GetEvent(ctx, request)
	if err != nil {
		return nil, err
	}
	if answer.Event == nil {
		return nil, unexpectedAnswer(c.conn.target, "the answer has no event", codes.OK)
	}
	return recorded(answer.Event), nil
}

// Stream is one of the store, with its version and lifecycle.
type Stream = eventfoldv1.Stream

// GetStream describes one stream. One that never had an event has the version 0.
//
// Errors: ErrInvalidStreamName.
func (c *Client) GetStream(ctx context.Context, name string) (*Stream, error) {
	answer, err := c.stubs.EventStore.GetStream(ctx, &eventfoldv1.GetStreamRequest{Name: name})
	if hasReason(err, ErrStreamNotFound) {
		category, id, _ := strings.Cut(name, "-")
		return &Stream{
			Name: name, Category: category, Id: id, Root: name,
			Lifecycle: eventfoldv1.Lifecycle_LIFECYCLE_OPEN,
		}, nil
	}
	return answer.GetStream(), err
}

// ListStreams lists streams in byte order of their names. The request has the filters, and may be
// nil: all streams but those that start with `$`.
func (c *Client) ListStreams(
	ctx context.Context, filter *eventfoldv1.ListStreamsRequest,
) iter.Seq2[*Stream, error] {
	return paged(func(token string) ([]*Stream, string, error) {
		request := &eventfoldv1.ListStreamsRequest{}
		if filter != nil {
			request = proto.CloneOf(filter)
		}
		request.PageToken = token
		answer, err := c.stubs.EventStore.ListStreams(ctx, request)
		return answer.GetStreams(), answer.GetNextPageToken(), err
	})
}

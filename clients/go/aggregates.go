package eventfold

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// typesMax is how many types a read can ask for; with more handlers all events are read.
const typesMax = 100

// Handlers fold the events of an aggregate in this program, for logic that no expression should
// carry.
type Handlers[S any] struct {
	// Initial makes the state of an aggregate without events. nil: the zero value.
	Initial func() S
	// On has a handler for each event type; other events are passed over. A handler returns the
	// state after the event; its error ends the read.
	On map[string]func(state S, event *RecordedEvent) (S, error)
}

// Aggregate is a state and the version that it is of.
type Aggregate[S any] struct {
	// State is the state.
	State S
	// Version is the one to expect in an append decided on this state; 0: no event.
	Version int64
	// Stream is the stream that Version is of, to be named in that append.
	Stream string
}

// ReadAggregate reads the stream of an aggregate, and folds it with handlers. A stream without
// events gives the initial state at version 0. Of the options of Read it takes FollowPeriods, Raw
// and AtLeastPosition.
//
// Errors: ErrStateNotCarried, if the stream was opened when the books of another one were closed,
// and no handler takes its opening event: write one, or use FollowAll; ErrStreamDeleted,
// ErrInvalidStreamName; those of the handlers as they are.
func ReadAggregate[S any](
	ctx context.Context, c *Client, category, id string, handlers Handlers[S],
	options ...ReadOption,
) (*Aggregate[S], error) {
	stream, err := StreamName(category, id)
	if err != nil {
		return nil, err
	}
	return readStream(ctx, c, stream, handlers, options)
}

func readStream[S any](
	ctx context.Context, c *Client, stream string, handlers Handlers[S], options []ReadOption,
) (*Aggregate[S], error) {
	result := &Aggregate[S]{Stream: stream}
	if handlers.Initial != nil {
		result.State = handlers.Initial()
	}
	// Without handlers nothing is folded, but the version is still that of the stream.
	if len(handlers.On) <= typesMax {
		options = append(options, Types(slices.Sorted(maps.Keys(handlers.On))...))
	}
	var end ReadEnd
	options = append(options, EndAt(&end))
	settings := &readSettings{request: &eventfoldv1.ReadRequest{}}
	for _, option := range options {
		option.applyRead(settings)
	}
	isOpened := settings.request.Follow == eventfoldv1.Follow_FOLLOW_ALL
	for event, err := range c.Read(ctx, stream, options...) {
		if hasReason(err, ErrStreamNotFound) {
			return result, nil
		}
		if err != nil {
			return nil, err
		}
		handler, ok := handlers.On[event.Type]
		if !ok {
			continue
		}
		isOpened = isOpened || event.Flags.Has(eventfoldv1.EventFlag_EVENT_FLAG_OPENS)
		if result.State, err = handler(result.State, event); err != nil {
			return nil, err
		}
	}
	result.Version = end.Version
	if end.Stream != "" {
		result.Stream = end.Stream
	}
	if end.OpenedFrom != "" && !isOpened {
		return nil, notOpened(result.Stream, end.OpenedFrom)
	}
	return result, nil
}

func notOpened(stream, predecessor string) error {
	text := fmt.Sprintf("no handler takes the event that opened %s, which carries states of folds "+
		"alone", stream)
	return refusal(ErrStateNotCarried, codes.FailedPrecondition, text, map[string]string{
		"stream": stream, "problem": "not_carried", "predecessor": predecessor,
	})
}

// RetryOption is a choice of Retry and RetryHandlers: Attempts, FollowAll.
type RetryOption interface{ applyRetry(*retrySettings) }

type retrySettings struct {
	attempts int
	follow   FollowPeriods
}

// Attempts is how often to try, at least 1. Default: 5.
type Attempts int

func (a Attempts) applyRetry(s *retrySettings) { s.attempts = int(a) }

// Retry reads an aggregate, decides, and appends; again from the start when it has moved, with a
// random pause in between.
//
// `decide` gets the state and returns the events that follow from it. It is called once an attempt,
// so it should depend on the state alone. No events: nothing is appended, and the result is nil.
// Its error ends all, and comes back as it is.
//
// It decides on the open stream of the line of periods; with FollowAll on the state through all of
// them.
//
// Errors: ErrVersionConflict, if the aggregate moved in every attempt; ErrStreamClosed, if nothing
// goes on from it; those of Hydrate and Append.
func Retry[T any](
	ctx context.Context, c *Client, category, id string, fold Fold,
	decide func(state T) ([]Event, error), options ...RetryOption,
) (*Appended, error) {
	read := func(stream string, follow FollowPeriods) (*Aggregate[T], error) {
		found, err := HydrateStream[T](ctx, c, stream, fold, follow)
		if err != nil {
			return nil, err
		}
		return &Aggregate[T]{State: found.State, Version: found.Version, Stream: found.Stream}, nil
	}
	return retry(ctx, c, category, id, read, decide, options)
}

// RetryHandlers is Retry with handlers in place of a fold.
func RetryHandlers[S any](
	ctx context.Context, c *Client, category, id string, handlers Handlers[S],
	decide func(state S) ([]Event, error), options ...RetryOption,
) (*Appended, error) {
	read := func(stream string, follow FollowPeriods) (*Aggregate[S], error) {
		return readStream(ctx, c, stream, handlers, []ReadOption{follow})
	}
	return retry(ctx, c, category, id, read, decide, options)
}

func retry[S any](
	ctx context.Context, c *Client, category, id string,
	read func(string, FollowPeriods) (*Aggregate[S], error),
	decide func(S) ([]Event, error), options []RetryOption,
) (*Appended, error) {
	stream, err := StreamName(category, id)
	if err != nil {
		return nil, err
	}
	// An append would tell that the books are closed, but what is decided may be that there is
	// nothing to append.
	settings := &retrySettings{attempts: attemptsMax, follow: FollowOpen}
	for _, option := range options {
		option.applyRetry(settings)
	}
	for conflicts := 1; ; conflicts++ {
		aggregate, err := read(stream, settings.follow)
		if err != nil {
			return nil, err
		}
		events, err := decide(aggregate.State)
		if err != nil || len(events) == 0 {
			return nil, err
		}
		result, err := c.Append(ctx, aggregate.Stream, Exact(aggregate.Version), events)
		if err == nil || !hasReason(err, ErrVersionConflict, ErrStreamClosed) {
			return result, err
		}
		// Closed meanwhile, the line has another stream that is open: it decides anew there.
		hasEnded := hasReason(err, ErrStreamClosed) && general(err).Facts["successor"] == ""
		if conflicts >= settings.attempts || hasEnded || !sleep(ctx, conflictPause(conflicts)) {
			return nil, err
		}
	}
}

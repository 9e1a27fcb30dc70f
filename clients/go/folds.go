package eventfold

import (
	"context"
	"encoding/json"
	"iter"
	"os"

	"google.golang.org/grpc"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// streamsMax is how many streams one call of HydrateMany takes.
const streamsMax = 1_000

// Fold is the fold that a call uses: FoldName, FoldSource or FoldFile make one.
type Fold struct{ message *eventfoldv1.FoldRef }

// FoldName is the newest revision of a fold that is registered.
func FoldName(name string) Fold {
	return Fold{&eventfoldv1.FoldRef{Kind: &eventfoldv1.FoldRef_Name{Name: name}}}
}

// FoldSource is a whole fold document, YAML 1.2 or JSON; at most 64 KiB.
func FoldSource(source string) Fold {
	return Fold{&eventfoldv1.FoldRef{Kind: &eventfoldv1.FoldRef_Source{Source: source}}}
}

// FoldFile reads a fold document from a file.
func FoldFile(path string) (Fold, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return Fold{}, err
	}
	return FoldSource(string(source)), nil
}

// Hydrated is the state of an aggregate.
type Hydrated[T any] struct {
	// Exists is false if the stream has no event up to that point, or the fold deleted the
	// aggregate; the state is then the initial one, or null.
	Exists bool
	// State is the state in the caller's type; the zero value of null.
	State T
	// JSON is the state as it came, byte for byte.
	JSON json.RawMessage
	// Version is the one to expect in an append decided on this state; 0: no event.
	Version int64
	// Position is that of the event at Version; 0: no event.
	Position int64
	// Stream is the stream that Version is of, to be named in that append.
	Stream string
	// FoldDigest is the digest of the fold.
	FoldDigest string
	// EventsRead and EventsFolded are numbers of events of this answer.
	EventsRead, EventsFolded int64
	// KeptVersion is the version of the kept state that folding went on from; 0: none.
	KeptVersion int64
	// ErasedPaths are pointers to what is null since its subject was erased.
	ErasedPaths []string
	// WithheldPaths are pointers to what is null since the caller may not see it.
	WithheldPaths []string
}

func hydrated[T any](stream string, answer *eventfoldv1.HydrateResponse) (*Hydrated[T], error) {
	if answer.GetStream() != "" {
		stream = answer.Stream
	}
	result := &Hydrated[T]{
		Exists: answer.GetExists(), JSON: answer.GetState(), Version: answer.GetVersion(),
		Position: answer.GetPosition(), Stream: stream, FoldDigest: answer.GetFoldDigest(),
		EventsRead: answer.GetEventsRead(), EventsFolded: answer.GetEventsFolded(),
		KeptVersion: answer.GetKeptVersion(), ErasedPaths: answer.GetErasedPaths(),
		WithheldPaths: answer.GetWithheldPaths(),
	}
	return result, decode(result.JSON, &result.State)
}

// Hydrate folds the stream of an aggregate into its state, on the spot, and decodes that into a
// type of the caller, as encoding/json does. A number that goes into an `any` becomes a
// json.Number; with json.RawMessage as the type nothing is decoded. A float64 holds what a float64
// can.
//
//	account, err := eventfold.Hydrate[Account](ctx, store, "account", "1", fold)
//
// Errors: ErrFoldNotFound, ErrInvalidFold, ErrFoldFailed, ErrVersionAhead, ErrPositionAhead,
// ErrStreamDeleted, ErrStateNotCarried, ErrStateMismatch.
func Hydrate[T any](
	ctx context.Context, c *Client, category, id string, fold Fold, options ...HydrateOption,
) (*Hydrated[T], error) {
	stream, err := StreamName(category, id)
	if err != nil {
		return nil, err
	}
	return HydrateStream[T](ctx, c, stream, fold, options...)
}

// HydrateStream is Hydrate by the name of the stream.
func HydrateStream[T any](
	ctx context.Context, c *Client, stream string, fold Fold, options ...HydrateOption,
) (*Hydrated[T], error) {
	request := &eventfoldv1.HydrateRequest{Stream: stream, Fold: fold.message}
	for _, option := range options {
		option.applyHydrate(request)
	}
	answer, err := c.stubs.Folds.Hydrate(ctx, request)
	if err != nil {
		return nil, err
	}
	result, err := hydrated[T](stream, answer)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// HydratedStream is the answer for one of many streams.
type HydratedStream[T any] struct {
	// Stream is its name.
	Stream string
	// Hydrated is its state; nil with Err.
	Hydrated *Hydrated[T]
	// Err says why it has none: ErrStreamDeleted, ErrFoldFailed, ErrStateMismatch and the like.
	// The others are answered all the same.
	Err error
}

// HydrateMany folds many streams with one fold. The states come in no order, each stream once;
// there may be more than 1,000.
//
// Errors: ErrInvalidStreamName, ErrInvalidFold, ErrFoldNotFound.
func HydrateMany[T any](
	ctx context.Context, c *Client, streams []string, fold Fold, options ...HydrateManyOption,
) iter.Seq2[HydratedStream[T], error] {
	return func(yield func(HydratedStream[T], error) bool) {
		missing := newMissing(streams)
		hydrating := answer[eventfoldv1.HydrateManyResponse]{
			open: func(
				ctx context.Context,
			) (grpc.ServerStreamingClient[eventfoldv1.HydrateManyResponse], error) {
				request := &eventfoldv1.HydrateManyRequest{
					Streams: missing.next(), Fold: fold.message,
				}
				for _, option := range options {
					option.applyHydrateMany(request)
				}
				return c.stubs.Folds.HydrateMany(ctx, request)
			},
			take: func(message *eventfoldv1.HydrateManyResponse) (isNew, goesOn bool, err error) {
				for _, one := range message.Streams {
					if !missing.found(one.Stream) {
						continue
					}
					isNew = true
					if !yield(manyOf[T](one), nil) {
						return true, false, nil
					}
				}
				return isNew, true, nil
			},
			done: func() (bool, error) { return missing.isEmpty(), nil },
		}
		if len(streams) == 0 {
			return
		}
		if err := hydrating.run(ctx, c); err != nil {
			yield(HydratedStream[T]{}, err)
		}
	}
}

func manyOf[T any](one *eventfoldv1.HydratedStream) HydratedStream[T] {
	if refused := one.GetError(); refused != nil {
		return HydratedStream[T]{Stream: one.Stream, Err: errorOfStatus(refused)}
	}
	state, err := hydrated[T](one.Stream, one.GetHydrated())
	if err != nil {
		return HydratedStream[T]{Stream: one.Stream, Err: err}
	}
	return HydratedStream[T]{Stream: one.Stream, Hydrated: state}
}

// missing are the streams without an answer, in their order, each once.
type missing struct {
	order []string
	open  map[string]bool
}

func newMissing(streams []string) *missing {
	m := &missing{open: map[string]bool{}}
	for _, stream := range streams {
		if !m.open[stream] {
			m.open[stream] = true
			m.order = append(m.order, stream)
		}
	}
	return m
}

func (m *missing) next() []string {
	left := m.order[:0:0]
	for _, stream := range m.order {
		if m.open[stream] {
			left = append(left, stream)
		}
	}
	m.order = left
	return left[:min(len(left), streamsMax)]
}

func (m *missing) found(stream string) bool {
	was := m.open[stream]
	delete(m.open, stream)
	return was
}

func (m *missing) isEmpty() bool { return len(m.open) == 0 }

// FoldInfo is a fold that is registered.
type FoldInfo = eventfoldv1.Fold

// PutFold registers a fold document under the name that it carries; created says whether that is a
// new revision. The same fold again changes nothing.
//
// Errors: ErrInvalidFold, ErrFoldTooLarge, ErrExpressionTooLong, ErrExpressionTooDeep.
func (c *Client) PutFold(
	ctx context.Context, source string,
) (fold *FoldInfo, created bool, err error) {
	answer, err := c.stubs.Folds.PutFold(ctx, &eventfoldv1.PutFoldRequest{Source: source})
	return answer.GetFold(), answer.GetCreated(), err
}

// GetFold returns a registered fold; revision 0: the newest.
//
// Errors: ErrFoldNotFound.
func (c *Client) GetFold(ctx context.Context, name string, revision int64) (*FoldInfo, error) {
	request := &eventfoldv1.GetFoldRequest{Name: name, Revision: revision}
	answer, err := c.stubs.Folds.GetFold(ctx, request)
	return answer.GetFold(), err
}

// ListFolds lists the newest revision of every registered fold in byte order of their names.
func (c *Client) ListFolds(ctx context.Context) iter.Seq2[*FoldInfo, error] {
	return paged(func(token string) ([]*FoldInfo, string, error) {
		answer, err := c.stubs.Folds.ListFolds(ctx, &eventfoldv1.ListFoldsRequest{PageToken: token})
		return answer.GetFolds(), answer.GetNextPageToken(), err
	})
}

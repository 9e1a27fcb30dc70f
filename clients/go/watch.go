package eventfold

import (
	"context"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// HistoricState is the state of an aggregate after one of its versions.
type HistoricState[T any] struct {
	// Hydrated has the state, its version and its position.
	Hydrated[T]
	// EventID and EventType are those of the event at the version; empty: the initial state.
	EventID, EventType string
}

func historic[T any](
	stream string, one *eventfoldv1.HistoricState,
) (HistoricState[T], error) {
	state := HistoricState[T]{
		Hydrated: Hydrated[T]{
			Exists: one.Exists, JSON: one.State, Version: one.Version, Position: one.Position,
			Stream: stream, ErasedPaths: one.ErasedPaths, WithheldPaths: one.WithheldPaths,
		},
		EventID: one.EventId, EventType: one.Type,
	}
	return state, decode(state.JSON, &state.State)
}

// WatchOption is a choice of Watch: FromVersion, OnReconnect, GiveUpAfter.
type WatchOption interface{ applyWatch(*watchSettings) }

type watchSettings struct {
	request    *eventfoldv1.WatchRequest
	reconnects reconnectSettings
}

func (v FromVersion) applyWatch(s *watchSettings) { s.request.FromVersion = int64(v) }

// Watch gives the state of an aggregate, and its state after each further event, until the context
// or the loop ends it. When the connection breaks it goes on behind the last state that came: no
// version is left out, none comes twice.
//
// Errors: those of Hydrate, ErrStoreIncarnationChanged.
func Watch[T any](
	ctx context.Context, c *Client, category, id string, fold Fold, options ...WatchOption,
) iter.Seq2[HistoricState[T], error] {
	return func(yield func(HistoricState[T], error) bool) {
		stream, err := StreamName(category, id)
		if err == nil {
			request := &eventfoldv1.WatchRequest{Stream: stream, Fold: fold.message}
			settings := &watchSettings{request: request}
			for _, option := range options {
				option.applyWatch(settings)
			}
			at := &watched[T]{request: request}
			watching := endlessCall[eventfoldv1.WatchResponse]{
				what: "watch of " + stream,
				open: func(
					ctx context.Context,
				) (grpc.ServerStreamingClient[eventfoldv1.WatchResponse], error) {
					return c.stubs.Folds.Watch(ctx, at.next())
				},
				take: func(message *eventfoldv1.WatchResponse) (isNew, goesOn bool, err error) {
					if err := at.prove(ctx, c, message); err != nil {
						return false, false, err
					}
					return at.take(message.States, yield)
				},
				position: func() int64 { return at.last.GetPosition() },
				failed:   at.failed,
			}
			err = watching.run(ctx, c, settings.reconnects)
		}
		if err != nil {
			yield(HistoricState[T]{}, err)
		}
	}
}

// watched is where a watch stands.
type watched[T any] struct {
	request *eventfoldv1.WatchRequest
	last    *eventfoldv1.HistoricState
	repeats bool
}

func (w *watched[T]) next() *eventfoldv1.WatchRequest {
	if w.last == nil {
		return w.request
	}
	again := proto.CloneOf(w.request)
	// With the last one again, to compare its event; the initial state has none.
	again.FromVersion, w.repeats = max(1, w.last.Version), w.last.Version > 0
	return again
}

func (w *watched[T]) take(
	states []*eventfoldv1.HistoricState, yield func(HistoricState[T], error) bool,
) (isNew, goesOn bool, err error) {
	for _, one := range states {
		if w.repeats {
			if one.EventId != w.last.EventId {
				return isNew, false, changed(w.last.Position)
			}
			w.repeats = false
			continue
		}
		w.last, isNew = one, true
		state, err := historic[T](w.request.Stream, one)
		if err != nil {
			return isNew, false, err
		}
		if !yield(state, nil) {
			return isNew, false, nil
		}
	}
	return isNew, true, nil
}

// prove looks up the event that was taken last, if a sign of life came in place of it: a log that
// lost just this one waits at the version before.
func (w *watched[T]) prove(
	ctx context.Context, c *Client, message *eventfoldv1.WatchResponse,
) error {
	if !w.repeats || len(message.States) > 0 {
		return nil
	}
	_, err := c.GetEvent(ctx, w.last.EventId)
	if hasReason(err, ErrEventNotFound) {
		return changed(w.last.Position)
	}
	return err
}

func (w *watched[T]) failed(err error) error {
	if w.last != nil && hasReason(err, ErrVersionAhead) {
		return changed(w.last.Position)
	}
	return err
}

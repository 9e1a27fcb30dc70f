package eventfold

import (
	"context"
	"encoding/json"
	"time"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// Compensation says what was wrong, and what would have been right.
type Compensation struct {
	// EventID is the id of the event that was wrong.
	EventID string
	// Reason is why, for people; 1 to 1,024 bytes. It stays in the log: nothing personal.
	Reason string
	// Correction is the event that would have been right, stored right behind the cancellation.
	// nil: none.
	Correction *Event
	// Cancellation has id, type, metadata, tags and time of the cancelling event; the server
	// writes its data. nil: a new id, and the type of the event with `Cancelled` behind it.
	Cancellation *Event
}

// Compensate cancels an event that was wrong, and stores what would have been right. There is no
// update of events: the wrong one stays, and one behind it says so. It is repeated by itself as
// Append is; to repeat it yourself, name the ids of both events.
//
// Errors: ErrEventNotFound, ErrEventOfOtherStream, ErrEventAlreadyCancelled,
// ErrCancellationNotCancellable, ErrEventNotCancellable, and those of Append.
func (c *Client) Compensate(
	ctx context.Context, stream string, expected ExpectedVersion, compensation Compensation,
) (*Appended, error) {
	cancelling := Event{}
	if compensation.Cancellation != nil {
		cancelling = *compensation.Cancellation
	}
	cancellation, err := cancelling.message("cancellation")
	if err != nil {
		return nil, err
	}
	request := &eventfoldv1.CompensateRequest{
		Stream: stream, ExpectedVersion: expected.message,
		EventId: compensation.EventID, Reason: compensation.Reason,
		Cancellation: &eventfoldv1.Cancellation{
			Id: cancellation.Id, Type: cancellation.Type, Metadata: cancellation.Metadata,
			Tags: cancellation.Tags, OccurredAt: cancellation.OccurredAt,
		},
	}
	if compensation.Correction != nil {
		if request.Correction, err = compensation.Correction.message("correction"); err != nil {
			return nil, err
		}
	}
	if err := checkSize(request); err != nil {
		return nil, err
	}
	answer, err := c.stubs.EventStore.Compensate(ctx, request)
	if err != nil {
		return nil, err
	}
	return appended(stream, answer.Appended), nil
}

// ClosedStream is where the closing and the opening event stand.
type ClosedStream struct {
	// Version is that of the closing event, the last one of the stream.
	Version int64
	// Position is that of the closing event.
	Position int64
	// ClosingID is the id of the closing event.
	ClosingID string
	// Successor is the stream that goes on; empty: none does.
	Successor string
	// OpeningPosition is that of the opening event, which has version 1; 0: there is none.
	OpeningPosition int64
	// OpeningID is the id of the opening event; empty: there is none.
	OpeningID string
	// States are what the opening event carries.
	States []*eventfoldv1.CarriedState
	// RecordedAt is when the last of these events was recorded.
	RecordedAt time.Time
	// Duplicate: the stream was closed so already, and nothing was stored now.
	Duplicate bool
}

// CloseOption is a choice of CloseStream: Successor, CarryStates, ClosingEvent, OpeningEvent,
// FollowAll.
type CloseOption interface {
	applyClose(*eventfoldv1.CloseStreamRequest)
}

type closeOption func(*eventfoldv1.CloseStreamRequest)

func (c closeOption) applyClose(r *eventfoldv1.CloseStreamRequest) { c(r) }

// Successor is the stream that goes on, of the same category and without events. Default: none
// does, the stream only ends.
func Successor(stream string) CloseOption {
	return closeOption(func(r *eventfoldv1.CloseStreamRequest) { r.Successor = stream })
}

// CarryStates names the folds whose states the successor starts from.
func CarryStates(folds ...Fold) CloseOption {
	return closeOption(func(r *eventfoldv1.CloseStreamRequest) {
		for _, fold := range folds {
			r.Folds = append(r.Folds, fold.message)
		}
	})
}

// ClosingEvent says what the closing event is like: id, type (empty: `$Closed`) and a JSON object
// that its data has beside `successor`. Default: a new id, and nothing beside.
func ClosingEvent(id, eventType string, data json.RawMessage) CloseOption {
	return closeOption(func(r *eventfoldv1.CloseStreamRequest) {
		r.ClosingId, r.ClosingType, r.ClosingData = id, eventType, data
	})
}

// OpeningEvent says what the opening event is like: id, type (empty: `$Opened`) and a JSON object
// that its data has beside `predecessor` and `states`. Default: a new id, and nothing beside.
func OpeningEvent(id, eventType string, data json.RawMessage) CloseOption {
	return closeOption(func(r *eventfoldv1.CloseStreamRequest) {
		r.OpeningId, r.OpeningType, r.OpeningData = id, eventType, data
	})
}

// CloseStream closes the books of a stream, and opens the one that goes on with the states of
// folds, in one transaction. The stream refuses events from then on and stays readable. Expected is
// Exact or Exists. It is repeated by itself; a close that is done already is found.
//
// Errors: ErrStreamNotFound, ErrStreamDeleted, ErrStreamClosed, ErrSuccessorExists,
// ErrVersionConflict, ErrStateNotCarried, ErrEventTooLarge, and those of Hydrate.
func (c *Client) CloseStream(
	ctx context.Context, stream string, expected ExpectedVersion, options ...CloseOption,
) (*ClosedStream, error) {
	request := &eventfoldv1.CloseStreamRequest{Stream: stream, ExpectedVersion: expected.message}
	for _, option := range options {
		option.applyClose(request)
	}
	if request.ClosingId == "" {
		request.ClosingId = newID()
	}
	if request.OpeningId == "" && request.Successor != "" {
		request.OpeningId = newID()
	}
	answer, err := c.stubs.EventStore.CloseStream(ctx, request)
	if err != nil {
		return nil, err
	}
	return &ClosedStream{
		Version: answer.Version, Position: answer.Position, ClosingID: answer.ClosingId,
		Successor: answer.Successor, OpeningPosition: answer.OpeningPosition,
		OpeningID: answer.OpeningId, States: answer.States,
		RecordedAt: timeOf(answer.RecordedAt), Duplicate: answer.Duplicate,
	}, nil
}

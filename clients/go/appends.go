package eventfold

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

const (
	appendBytesMax = 3 << 20
	// The server's gRPC layer refuses what is longer, before the server could name the reason.
	sentBytesMax = 8 << 20
)

// Appended is where the events of an append stand.
type Appended struct {
	// Stream is the name of the stream that has them.
	Stream string
	// FirstVersion is the version of the first event.
	FirstVersion int64
	// LastVersion is the version of the last event; the one to expect in the next append.
	LastVersion int64
	// Positions are those of the events in the log, in their order.
	Positions []int64
	// Duplicate: the events were stored already, and nothing was stored now.
	Duplicate bool
	// RecordedAt is when the server recorded the last event.
	RecordedAt time.Time
}

func appended(stream string, answer *eventfoldv1.AppendResponse) *Appended {
	if answer.GetStream() != "" {
		stream = answer.Stream
	}
	return &Appended{
		Stream: stream, FirstVersion: answer.GetFirstVersion(),
		LastVersion: answer.GetLastVersion(), Positions: answer.GetPositions(),
		Duplicate: answer.GetDuplicate(), RecordedAt: timeOf(answer.GetRecordedAt()),
	}
}

// Append stores events in a stream, all of them or none. Each has an id, so that the call is
// repeated by itself when the connection breaks, and may be made again with the same events when it
// ends in ErrOutcomeUnknown: nothing is stored twice.
//
// With FollowOpen and AnyVersion, events for a closed stream go to the one that goes on from it.
//
// Errors: ErrVersionConflict, ErrEventIDReused, ErrStreamClosed, ErrStreamDeleted,
// ErrSchemaViolation, ErrOutcomeUnknown, and those of a request that is wrong.
func (c *Client) Append(
	ctx context.Context, stream string, expected ExpectedVersion, events []Event,
	options ...AppendOption,
) (*Appended, error) {
	request, err := appendRequest(stream, expected, events)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		option.applyAppend(request)
	}
	answer, err := c.stubs.EventStore.Append(ctx, request)
	if err != nil {
		return nil, err
	}
	return appended(stream, answer), nil
}

func appendRequest(
	stream string, expected ExpectedVersion, events []Event,
) (*eventfoldv1.AppendRequest, error) {
	all, err := messages(events)
	if err != nil {
		return nil, err
	}
	request := &eventfoldv1.AppendRequest{
		Stream: stream, ExpectedVersion: expected.message, Events: all,
	}
	return request, checkSize(request)
}

func checkSize(request proto.Message) error {
	size := proto.Size(request)
	if size <= sentBytesMax {
		return nil
	}
	return refusal(ErrAppendTooLarge, codes.InvalidArgument,
		fmt.Sprintf("the append has %d bytes; 3 MiB are the most", size), map[string]string{
			"limit": strconv.Itoa(appendBytesMax), "actual": strconv.Itoa(size),
		})
}

// Violation is where an event does not fit the schema of its type.
type Violation = eventfoldv1.SchemaViolation

// Checked is what an append would come to.
type Checked struct {
	// FirstVersion is the version that the first event would have, or has.
	FirstVersion int64
	// LastVersion is the version that the last event would have, or has.
	LastVersion int64
	// Duplicate: the events are stored already.
	Duplicate bool
	// Violations are where events do not fit the schemas in force; at most 1,000.
	Violations []*Violation
	// Refused is the error that Append would return because of these; nil: none.
	Refused error
}

// CheckAppend says what Append would answer now, and stores nothing.
//
// Errors: those of Append.
func (c *Client) CheckAppend(
	ctx context.Context, stream string, expected ExpectedVersion, events []Event,
) (*Checked, error) {
	request, err := appendRequest(stream, expected, events)
	if err != nil {
		return nil, err
	}
	answer, err := c.stubs.EventStore.CheckAppend(
		ctx, &eventfoldv1.CheckAppendRequest{Append: request})
	if err != nil {
		return nil, err
	}
	checked := &Checked{
		FirstVersion: answer.FirstVersion, LastVersion: answer.LastVersion,
		Duplicate: answer.Duplicate, Violations: answer.Violations,
	}
	if answer.Refused != nil {
		checked.Refused = errorOfStatus(answer.Refused)
	}
	return checked, nil
}

// StreamAppend is the part of an append to several streams that goes to one of them.
type StreamAppend struct {
	// Stream is its name.
	Stream string
	// Expected is what it must be like.
	Expected ExpectedVersion
	// Events are stored in their order; at least one.
	Events []Event
}

// StreamCheck is a demand on a stream that an append does not write to.
type StreamCheck struct {
	// Stream is its name.
	Stream string
	// Expected is what it must be like: Exact or Exists.
	Expected ExpectedVersion
}

// AppendMany stores events in several streams, on condition that these, and others that are only
// looked at, are as the decision found them: all of the events are stored, or none.
//
// Errors: *ChecksFailedError with all demands that were not met; those of Append on the request.
func (c *Client) AppendMany(
	ctx context.Context, appends []StreamAppend, checks ...StreamCheck,
) ([]*Appended, error) {
	request := &eventfoldv1.AppendManyRequest{}
	for i, one := range appends {
		events, err := messages(one.Events)
		if err != nil {
			return nil, fmt.Errorf("appends[%d]: %w", i, err)
		}
		request.Appends = append(request.Appends, &eventfoldv1.StreamAppend{
			Stream: one.Stream, ExpectedVersion: one.Expected.message, Events: events,
		})
	}
	for _, check := range checks {
		request.Checks = append(request.Checks, &eventfoldv1.VersionCheck{
			Stream: check.Stream, ExpectedVersion: check.Expected.message,
		})
	}
	if err := checkSize(request); err != nil {
		return nil, err
	}
	answer, err := c.stubs.EventStore.AppendMany(ctx, request)
	if err != nil {
		return nil, err
	}
	if failed := answer.GetFailed(); failed != nil {
		return nil, checksFailed(failedChecks(failed))
	}
	stored := answer.GetStored().GetAppends()
	if len(stored) != len(appends) {
		return nil, unexpectedAnswer(c.conn.target, "not all appends are answered", codes.OK)
	}
	results := make([]*Appended, len(stored))
	for i, one := range stored {
		results[i] = appended(appends[i].Stream, one)
	}
	return results, nil
}

func failedChecks(answer *eventfoldv1.FailedChecks) []FailedCheck {
	failed := make([]FailedCheck, 0, len(answer.Checks))
	for _, one := range answer.Checks {
		check := FailedCheck{
			Stream: one.Stream, ActualVersion: one.ActualVersion, Err: errorOfStatus(one.Refused),
			AppendIndex: -1, CheckIndex: -1,
		}
		switch place := one.Place.(type) {
		case *eventfoldv1.FailedCheck_AppendIndex:
			check.AppendIndex = int(place.AppendIndex)
		case *eventfoldv1.FailedCheck_CheckIndex:
			check.CheckIndex = int(place.CheckIndex)
		}
		failed = append(failed, check)
	}
	return failed
}

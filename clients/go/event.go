package eventfold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// Event is one to be stored.
type Event struct {
	// ID is a UUID. NewEvent makes one of version 7; empty: each append makes one of its own, and
	// an append that is made again by the caller stores the event again.
	ID string
	// Type is the name of what happened, such as MoneyDeposited; 1 to 128 bytes.
	Type string
	// Data is a JSON object: a json.RawMessage or []byte is sent byte for byte, anything else as
	// encoding/json writes it. nil: `{}`. At most 1 MiB.
	Data any
	// Metadata is a JSON object, written in the same way. nil: none. At most 64 KiB.
	Metadata any
	// Tags are a set of at most 64 texts of 1 to 128 bytes.
	Tags []string
	// OccurredAt is when it happened; what is finer than a microsecond is cut off. Zero: when the
	// server records it.
	OccurredAt time.Time
}

// NewEvent makes an event with an id of its own. An append of the same event, made again, is
// stored once.
func NewEvent(eventType string, data any) Event {
	return Event{ID: newID(), Type: eventType, Data: data}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (e *Event) message(path string) (*eventfoldv1.NewEvent, error) {
	message := &eventfoldv1.NewEvent{Id: e.ID, Type: e.Type, Tags: e.Tags}
	if message.Id == "" {
		message.Id = newID()
	}
	var err error
	if message.Data, err = encode(e.Data, path+".data", []byte("{}")); err != nil {
		return nil, err
	}
	if message.Metadata, err = encode(e.Metadata, path+".metadata", nil); err != nil {
		return nil, err
	}
	message.OccurredAt = timestamp(e.OccurredAt)
	return message, nil
}

func messages(events []Event) ([]*eventfoldv1.NewEvent, error) {
	all := make([]*eventfoldv1.NewEvent, 0, len(events))
	for i := range events {
		message, err := events[i].message(fmt.Sprintf("events[%d]", i))
		if err != nil {
			return nil, err
		}
		all = append(all, message)
	}
	return all, nil
}

// encode writes a value as JSON, without the escapes that are meant for HTML.
func encode(value any, path string, absent []byte) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return absent, nil
	case json.RawMessage:
		return value, nil
	case []byte:
		return value, nil
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		// The text of some of these errors has the value.
		return nil, invalidValue(path, fmt.Sprintf("%s: %T cannot be written as JSON", path, value), err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// decode reads JSON; a number that goes into an `any` becomes a json.Number, with all its digits.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err := decoder.Decode(into)
	if err == nil {
		return nil
	}
	facts := map[string]string{
		"model": fmt.Sprintf("%T", into), "path": "", "problem": "it is no such JSON",
	}
	// The text of the error may have a value of the state.
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		facts["path"] = wrong.Field
		facts["problem"] = fmt.Sprintf("%s does not fit %s", firstWord(wrong.Value), wrong.Type)
	}
	return (*StateMismatchError)(&Error{
		Reason: ErrStateMismatch, Code: codes.FailedPrecondition, cause: err, Facts: facts,
		Message: fmt.Sprintf("the JSON does not fit %s at %q: %s",
			facts["model"], facts["path"], facts["problem"]),
	})
}

// firstWord is the kind of a value that encoding/json names, such as `number` of `number 1.5`.
func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

// EventFlags are marks of the server on a stored event.
type EventFlags uint32

// Has says whether a mark is set.
func (f EventFlags) Has(flag eventfoldv1.EventFlag) bool { return f&EventFlags(flag) != 0 }

// RecordedEvent is a stored event.
type RecordedEvent struct {
	// ID is a UUID in lower case.
	ID string
	// Stream is the name of its stream.
	Stream string
	// Type is the name of what happened.
	Type string
	// Version is its place in the stream, from 1.
	Version int64
	// Position is its place in the log, from 1.
	Position int64
	// RecordedAt is when the server recorded it.
	RecordedAt time.Time
	// OccurredAt is when it happened, as the writer said; else RecordedAt.
	OccurredAt time.Time
	// Writer is the name of the token that appended it, or `anonymous`.
	Writer string
	// Data is the JSON object as it is stored, or as the mapping of its type makes it.
	Data json.RawMessage
	// Metadata is a JSON object.
	Metadata json.RawMessage
	// Tags are in byte order.
	Tags []string
	// Flags are marks of the server.
	Flags EventFlags
	// CopiedFrom is the id of the event that this is a copy of; empty: none.
	CopiedFrom string
	// Cancels is the id of the event that this one cancels; empty: none.
	Cancels string
	// TraceContext is the W3C traceparent of the call that appended it; empty: none.
	TraceContext string
	// Deleted: data, metadata and tags were deleted.
	Deleted bool
	// ErasedPaths are pointers to values of Data that are null since their subject was erased.
	ErasedPaths []string
	// WithheldPaths are pointers to values of Data that are null since the caller may not see them.
	WithheldPaths []string
}

// Decode reads the data into a value, as encoding/json does. A number that goes into an `any`
// becomes a json.Number, with all its digits.
//
// Errors: ErrStateMismatch.
func (e *RecordedEvent) Decode(into any) error { return decode(e.Data, into) }

func recorded(message *eventfoldv1.RecordedEvent) *RecordedEvent {
	return &RecordedEvent{
		ID: message.Id, Stream: message.Stream, Type: message.Type,
		Version: message.Version, Position: message.Position,
		RecordedAt: timeOf(message.RecordedAt), OccurredAt: timeOf(message.OccurredAt),
		Writer: message.Writer, Data: message.Data, Metadata: message.Metadata,
		Tags: message.Tags, Flags: EventFlags(message.Flags), CopiedFrom: message.CopiedFrom,
		Cancels: message.Cancels, TraceContext: message.TraceContext, Deleted: message.Deleted,
		ErasedPaths: message.ErasedPaths, WithheldPaths: message.WithheldPaths,
	}
}

func timeOf(stamp *timestamppb.Timestamp) time.Time {
	if stamp == nil {
		return time.Time{}
	}
	return stamp.AsTime()
}

func timestamp(moment time.Time) *timestamppb.Timestamp {
	if moment.IsZero() {
		return nil
	}
	// The store knows whole microseconds, and time.Now is finer.
	return timestamppb.New(moment.Truncate(time.Microsecond))
}

// ExpectedVersion is what an append demands of its stream: Exact, Exists or AnyVersion.
type ExpectedVersion struct{ message *eventfoldv1.ExpectedVersion }

// Exact demands that the stream is at this version; 0: that it has no event.
func Exact(version int64) ExpectedVersion {
	kind := &eventfoldv1.ExpectedVersion_Exact{Exact: version}
	return ExpectedVersion{&eventfoldv1.ExpectedVersion{Kind: kind}}
}

// Exists demands that the stream has at least one event.
func Exists() ExpectedVersion {
	kind := &eventfoldv1.ExpectedVersion_Exists{Exists: &emptypb.Empty{}}
	return ExpectedVersion{&eventfoldv1.ExpectedVersion{Kind: kind}}
}

// AnyVersion demands nothing.
func AnyVersion() ExpectedVersion {
	kind := &eventfoldv1.ExpectedVersion_Any{Any: &emptypb.Empty{}}
	return ExpectedVersion{&eventfoldv1.ExpectedVersion{Kind: kind}}
}

// StreamName is the name of the stream of an aggregate, `category-id`.
//
// Errors: ErrInvalidStreamName, if the category holds a `-` or one of the two is empty.
func StreamName(category, id string) (string, error) {
	problem := ""
	switch {
	case category == "":
		problem = "the category is empty"
	case strings.Contains(category, "-"):
		problem = "the category holds a `-`"
	case id == "":
		problem = "the id is empty"
	default:
		return category + "-" + id, nil
	}
	facts := map[string]string{"problem": problem}
	return "", refusal(ErrInvalidStreamName, codes.InvalidArgument, problem, facts)
}

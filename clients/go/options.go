package eventfold

import (
	"time"

	"google.golang.org/protobuf/proto"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// Options are values that belong to one or several calls: Types filters reads as well as
// subscriptions and groups. The signature of a call says which kind it takes.
type (
	// AppendOption is a choice of Append.
	AppendOption interface {
		applyAppend(*eventfoldv1.AppendRequest)
	}
	// ReadOption is a choice of Read and ReadAggregate.
	ReadOption interface{ applyRead(*readSettings) }
	// ReadAllOption is a choice of ReadAll.
	ReadAllOption interface{ applyReadAll(*readAllSettings) }
	// HydrateOption is a choice of Hydrate.
	HydrateOption interface {
		applyHydrate(*eventfoldv1.HydrateRequest)
	}
	// HydrateManyOption is a choice of HydrateMany.
	HydrateManyOption interface {
		applyHydrateMany(*eventfoldv1.HydrateManyRequest)
	}
	// EventOption is a choice of GetEvent.
	EventOption interface {
		applyEvent(*eventfoldv1.GetEventRequest)
	}
)

type readSettings struct {
	request *eventfoldv1.ReadRequest
	end     *ReadEnd
}

type readAllSettings struct {
	request *eventfoldv1.ReadAllRequest
	end     *ReadEnd
}

type backwards struct{}

// Backwards reads from high versions or positions to low ones.
func Backwards() interface {
	ReadOption
	ReadAllOption
} {
	return backwards{}
}

func (backwards) applyRead(s *readSettings) {
	s.request.Direction = eventfoldv1.Direction_DIRECTION_BACKWARDS
}

func (backwards) applyReadAll(s *readAllSettings) {
	s.request.Direction = eventfoldv1.Direction_DIRECTION_BACKWARDS
}

// FromVersion begins with this version of the stream, inclusive, at least 1. Default: with the
// first; backwards with the last.
type FromVersion int64

func (v FromVersion) applyRead(s *readSettings) { s.request.FromVersion = proto.Int64(int64(v)) }

func (v FromVersion) applySubscribe(s *subscribeSettings) {
	s.starts++
	s.request.Start = &eventfoldv1.SubscribeRequest_FromVersion{FromVersion: int64(v)}
}

// ToVersion ends with this version, inclusive, at least 1. Default: the head; backwards 1.
type ToVersion int64

func (v ToVersion) applyRead(s *readSettings) { s.request.ToVersion = proto.Int64(int64(v)) }

// FromPosition begins with this position of the log, inclusive, at least 1.
type FromPosition int64

func (p FromPosition) applyReadAll(s *readAllSettings) {
	s.request.From = &eventfoldv1.ReadAllRequest_FromPosition{FromPosition: int64(p)}
}

func (p FromPosition) applySubscribe(s *subscribeSettings) {
	s.starts++
	s.request.Start = &eventfoldv1.SubscribeRequest_FromPosition{FromPosition: int64(p)}
}

func (p FromPosition) groupStart() *eventfoldv1.GroupStart {
	kind := &eventfoldv1.GroupStart_FromPosition{FromPosition: int64(p)}
	return &eventfoldv1.GroupStart{Kind: kind}
}

// ToPosition ends with this position of the log, inclusive, at least 1. Default: the head.
type ToPosition int64

func (p ToPosition) applyReadAll(s *readAllSettings) {
	s.request.ToPosition = proto.Int64(int64(p))
}

// AfterToken begins after the position that a resume token stands for; empty: at the beginning.
type AfterToken []byte

func (t AfterToken) applyReadAll(s *readAllSettings) {
	if len(t) > 0 {
		s.request.From = &eventfoldv1.ReadAllRequest_ResumeToken{ResumeToken: t}
	}
}

func (t AfterToken) applySubscribe(s *subscribeSettings) {
	s.starts++
	s.place.ResumeToken = t
}

func (t AfterToken) groupStart() *eventfoldv1.GroupStart {
	kind := &eventfoldv1.GroupStart_ResumeToken{ResumeToken: t}
	return &eventfoldv1.GroupStart{Kind: kind}
}

// FromRecordedAt begins with the first event that was recorded at or after a time.
type FromRecordedAt time.Time

func (t FromRecordedAt) applySubscribe(s *subscribeSettings) {
	s.starts++
	s.request.Start = &eventfoldv1.SubscribeRequest_FromRecordedAt{
		FromRecordedAt: timestamp(time.Time(t)),
	}
}

func (t FromRecordedAt) groupStart() *eventfoldv1.GroupStart {
	kind := &eventfoldv1.GroupStart_FromRecordedAt{FromRecordedAt: timestamp(time.Time(t))}
	return &eventfoldv1.GroupStart{Kind: kind}
}

// Limit is how many events, rows or the like to return at the most. Default: no limit.
type Limit int64

func (l Limit) applyRead(s *readSettings)       { s.request.Limit = int64(l) }
func (l Limit) applyReadAll(s *readAllSettings) { s.request.Limit = int64(l) }
func (l Limit) applyQuery(s *querySettings)     { s.limit = int64(l) }

// AtLeastPosition waits, within the deadline, until the log, or the projection, has this position:
// whoever appended at it sees it, whichever server answers.
type AtLeastPosition int64

func (p AtLeastPosition) applyRead(s *readSettings) { s.request.AtLeastPosition = int64(p) }

func (p AtLeastPosition) applyReadAll(s *readAllSettings) { s.request.AtLeastPosition = int64(p) }

func (p AtLeastPosition) applyHydrate(r *eventfoldv1.HydrateRequest) {
	r.AtLeastPosition = int64(p)
}

func (p AtLeastPosition) applyHydrateMany(r *eventfoldv1.HydrateManyRequest) {
	r.AtLeastPosition = int64(p)
}

func (p AtLeastPosition) applyQuery(s *querySettings) { s.request.AtLeastPosition = int64(p) }

// FollowPeriods says what a call does about the streams that go on from the one that is named, and
// those that it goes on from: FollowOpen or FollowAll. Default: that stream alone. Append takes
// FollowOpen, and then with AnyVersion.
type FollowPeriods eventfoldv1.Follow

const (
	// FollowOpen: the last stream of the line of periods in its place.
	FollowOpen = FollowPeriods(eventfoldv1.Follow_FOLLOW_OPEN)
	// FollowAll: all streams of the line as if they were one.
	FollowAll = FollowPeriods(eventfoldv1.Follow_FOLLOW_ALL)
)

func (f FollowPeriods) applyAppend(r *eventfoldv1.AppendRequest) { r.Follow = f == FollowOpen }

func (f FollowPeriods) applyRead(s *readSettings) { s.request.Follow = eventfoldv1.Follow(f) }

func (f FollowPeriods) applyHydrate(r *eventfoldv1.HydrateRequest) {
	r.Follow = eventfoldv1.Follow(f)
}

func (f FollowPeriods) applyRetry(s *retrySettings) { s.follow = f }

func (f FollowPeriods) applyClose(r *eventfoldv1.CloseStreamRequest) {
	r.Follow = eventfoldv1.Follow(f)
}

type raw struct{}

// Raw gives data as it is stored, without the mappings in force.
func Raw() interface {
	ReadOption
	ReadAllOption
	EventOption
	SubscribeOption
} {
	return raw{}
}

func (raw) applyRead(s *readSettings)                 { s.request.Raw = true }
func (raw) applyReadAll(s *readAllSettings)           { s.request.Raw = true }
func (raw) applyEvent(r *eventfoldv1.GetEventRequest) { r.Raw = true }
func (raw) applySubscribe(s *subscribeSettings)       { s.request.Raw = true }

type markCancelled struct{}

// MarkCancelled gives events that another one of the stream cancels EVENT_FLAG_CANCELLED.
func MarkCancelled() ReadOption { return markCancelled{} }

func (markCancelled) applyRead(s *readSettings) { s.request.MarkCancelled = true }

// EndAt puts where a read ended into `end`, when its last event was taken.
func EndAt(end *ReadEnd) interface {
	ReadOption
	ReadAllOption
} {
	return endAt{end}
}

type endAt struct{ end *ReadEnd }

func (e endAt) applyRead(s *readSettings)       { s.end = e.end }
func (e endAt) applyReadAll(s *readAllSettings) { s.end = e.end }

// AtVersion hydrates at a version, inclusive; 0: the initial state.
type AtVersion int64

func (v AtVersion) applyHydrate(r *eventfoldv1.HydrateRequest) {
	r.At = &eventfoldv1.HydrateRequest_Version{Version: int64(v)}
}

// AtPosition hydrates at a position of the log, inclusive.
type AtPosition int64

func (p AtPosition) applyHydrate(r *eventfoldv1.HydrateRequest) {
	r.At = &eventfoldv1.HydrateRequest_Position{Position: int64(p)}
}

// AsRecordedAt hydrates with the events that were recorded at or before a time.
type AsRecordedAt time.Time

func (t AsRecordedAt) applyHydrate(r *eventfoldv1.HydrateRequest) {
	r.At = &eventfoldv1.HydrateRequest_RecordedAt{RecordedAt: timestamp(time.Time(t))}
}

// AsOccurredAt hydrates with the events that occurred at or before a time.
type AsOccurredAt time.Time

func (t AsOccurredAt) applyHydrate(r *eventfoldv1.HydrateRequest) {
	r.At = &eventfoldv1.HydrateRequest_OccurredAt{OccurredAt: timestamp(time.Time(t))}
}

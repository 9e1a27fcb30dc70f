package eventfold

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// SubscribeOption is a choice of Subscribe: a filter, or where to begin.
type SubscribeOption interface{ applySubscribe(*subscribeSettings) }

type subscribeSettings struct {
	request    *eventfoldv1.SubscribeRequest
	place      Place
	starts     int
	reconnects reconnectSettings
}

type fromNow struct{}

// StartOption says where a subscription or a group begins.
type StartOption interface {
	SubscribeOption
	GroupStart
}

// FromNow begins with the first event after the head of the log.
func FromNow() StartOption { return fromNow{} }

func (fromNow) applySubscribe(s *subscribeSettings) {
	s.starts++
	s.request.Start = &eventfoldv1.SubscribeRequest_Now{Now: &emptypb.Empty{}}
}

func (fromNow) groupStart() *eventfoldv1.GroupStart {
	return &eventfoldv1.GroupStart{Kind: &eventfoldv1.GroupStart_Now{Now: &emptypb.Empty{}}}
}

// Place is how far a reader of the log is, and the proof that it was this very log. Keep it in the
// same transaction as what the events led to, and begin the next subscription with After: it goes
// on with the next event, none left out and none twice. If the log has lost its tail in between (a
// restore, a fail-over), the subscription fails with ErrStoreIncarnationChanged.
//
// encoding/json writes and reads it.
type Place struct {
	// Position up to which everything was taken; 0: nothing.
	Position int64 `json:"position"`
	// ResumeToken is that of the newest frame that was taken whole; empty: there is none.
	ResumeToken []byte `json:"resume_token,omitempty"`
	// TokenPosition is the position that the token stands for.
	TokenPosition int64 `json:"token_position,omitempty"`
	// EventID is the id of the event at Position, where the token stands for an earlier position.
	EventID string `json:"event_id,omitempty"`
}

// After begins behind a place that an earlier subscription told.
func After(place Place) SubscribeOption { return after(place) }

type after Place

func (a after) applySubscribe(s *subscribeSettings) {
	s.starts++
	s.place = Place(a)
}

// FrameKind says what a frame tells; a kind that is not known is a checkpoint.
type FrameKind = eventfoldv1.FrameKind

// Frame is a part of a subscription: some events, or news of how far it is.
type Frame struct {
	// Kind says what it tells.
	Kind FrameKind
	// Events are those of the frame that were not taken before.
	Events []*RecordedEvent
	// Position up to which everything was looked at.
	Position int64
	// ResumeToken stands for Position on this very log.
	ResumeToken []byte
	// Head of the log as the server knew it.
	Head int64
}

// Subscription is the events of the log, in order and without an end. It is used once, by Events or
// by Frames, and by one goroutine.
type Subscription struct {
	client     *Client
	request    *eventfoldv1.SubscribeRequest
	reconnects reconnectSettings
	wrong      error

	// All before the frame under way.
	base Place
	// The frame under way, how many of its events were taken before, and how many are now.
	frame    *eventfoldv1.SubscribeResponse
	taken    int
	unproven bool
	head     int64
	caughtUp bool
}

// Subscribe follows the log, categories or a stream: first what is stored, then what is appended.
//
//	sub := store.Subscribe(eventfold.Categories("account"), eventfold.After(place))
//	for event, err := range sub.Events(ctx) {
//		...
//		place = sub.Place()
//	}
//
// It begins with the first event unless After, AfterToken, FromPosition, FromVersion,
// FromRecordedAt or FromNow says otherwise. When the call breaks, it is made again with growing
// pauses, and goes on behind the last event that was taken: none is left out, none comes twice. The
// first connection has to come about within the timeout of the client.
func (c *Client) Subscribe(options ...SubscribeOption) *Subscription {
	settings := &subscribeSettings{request: &eventfoldv1.SubscribeRequest{}}
	for _, option := range options {
		option.applySubscribe(settings)
	}
	s := &Subscription{
		client: c, request: settings.request, base: settings.place,
		reconnects: settings.reconnects,
	}
	if settings.starts > 1 {
		s.wrong = invalidValue("start", "a subscription has one start", nil)
	}
	return s
}

// Place is how far the reader is, the event in hand included.
func (s *Subscription) Place() Place {
	if s.frame == nil {
		return s.base
	}
	if s.taken < len(s.frame.Events) {
		if s.taken == 0 || s.frame.Events[s.taken-1].Position <= s.base.Position {
			return s.base
		}
		last := s.frame.Events[s.taken-1]
		return Place{last.Position, s.base.ResumeToken, s.base.TokenPosition, last.Id}
	}
	if len(s.frame.ResumeToken) == 0 {
		return s.base
	}
	return Place{s.frame.Position, s.frame.ResumeToken, s.frame.Position, ""}
}

// Head is that of the log as the server last told it; 0: not known yet.
func (s *Subscription) Head() int64 { return s.head }

// IsCaughtUp says whether the subscription got to the head, and events come as they are appended.
func (s *Subscription) IsCaughtUp() bool { return s.caughtUp }

// Events gives the events, until the context or the loop ends it. An error is the last thing that
// comes; one of the context is context.Canceled or context.DeadlineExceeded to errors.Is.
//
// Errors: ErrStoreIncarnationChanged, ErrPositionAhead, ErrVersionAhead, ErrCopiesAmbiguous,
// ErrFilterFailed, ErrStreamDeleted, ErrInvalidExpression, ErrPermissionDenied, and what else no
// further call can mend.
func (s *Subscription) Events(ctx context.Context) iter.Seq2[*RecordedEvent, error] {
	return func(yield func(*RecordedEvent, error) bool) {
		err := s.run(ctx, func(frame *eventfoldv1.SubscribeResponse, first int) bool {
			s.frame, s.taken = frame, first
			for _, event := range frame.Events[first:] {
				s.taken++
				if !yield(recorded(event), nil) {
					return false
				}
			}
			return true
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// Frames gives the frames in which the events come: also checkpoints, news of having caught up, and
// a sign of life every 10 s. A frame is taken as a whole, and has a token of its own: a good unit
// for a transaction. Errors as in Events.
func (s *Subscription) Frames(ctx context.Context) iter.Seq2[*Frame, error] {
	return func(yield func(*Frame, error) bool) {
		err := s.run(ctx, func(frame *eventfoldv1.SubscribeResponse, first int) bool {
			s.frame, s.taken = frame, len(frame.Events)
			whole := &Frame{
				Kind: frame.Kind, Position: frame.Position, ResumeToken: frame.ResumeToken,
				Head: frame.Head,
			}
			for _, event := range frame.Events[first:] {
				whole.Events = append(whole.Events, recorded(event))
			}
			if len(whole.Events) == 0 && whole.Kind == eventfoldv1.FrameKind_FRAME_KIND_EVENTS {
				whole.Kind = eventfoldv1.FrameKind_FRAME_KIND_CHECKPOINT
			}
			return yield(whole, nil)
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

func (s *Subscription) run(
	ctx context.Context, hand func(*eventfoldv1.SubscribeResponse, int) bool,
) error {
	if s.wrong != nil {
		return s.wrong
	}
	following := endlessCall[eventfoldv1.SubscribeResponse]{
		what: "subscription to " + s.about(),
		open: func(
			ctx context.Context,
		) (grpc.ServerStreamingClient[eventfoldv1.SubscribeResponse], error) {
			return s.client.stubs.Subscriptions.Subscribe(ctx, s.next())
		},
		take: func(frame *eventfoldv1.SubscribeResponse) (isNew, goesOn bool, err error) {
			first, isOld, err := s.accept(ctx, frame)
			if err != nil || isOld {
				return false, true, err
			}
			return first < len(frame.Events), hand(frame, first), nil
		},
		position: func() int64 { return s.base.Position },
		failed: func(err error) error {
			if hasReason(err, ErrPositionAhead) && s.base.EventID != "" {
				return s.changed()
			}
			return err
		},
	}
	return following.run(ctx, s.client, s.reconnects)
}

func (s *Subscription) about() string {
	if s.request.Stream != "" {
		return s.request.Stream
	}
	if len(s.request.Categories) > 0 {
		return strings.Join(s.request.Categories, ", ")
	}
	return "the log"
}

// settle makes the place of the frame under way the one to go on from.
func (s *Subscription) settle() {
	s.base = s.Place()
	s.frame, s.taken = nil, 0
}

// next is the request for what is still to come.
func (s *Subscription) next() *eventfoldv1.SubscribeRequest {
	s.settle()
	s.caughtUp = false
	s.unproven = s.base.EventID != ""
	request := proto.CloneOf(s.request)
	switch {
	case len(s.base.ResumeToken) > 0:
		request.Start = &eventfoldv1.SubscribeRequest_ResumeToken{ResumeToken: s.base.ResumeToken}
	case s.base.EventID != "":
		// With the event itself, to compare it.
		request.Start = &eventfoldv1.SubscribeRequest_FromPosition{FromPosition: s.base.Position}
	case s.base.Position > 0:
		request.Start = &eventfoldv1.SubscribeRequest_FromPosition{
			FromPosition: s.base.Position + 1,
		}
	}
	return request
}

// accept looks at a frame that came: which of its events is the first that was not taken, and
// whether all of it was.
func (s *Subscription) accept(
	ctx context.Context, frame *eventfoldv1.SubscribeResponse,
) (first int, isOld bool, err error) {
	s.settle()
	for first < len(frame.Events) && frame.Events[first].Position <= s.base.Position {
		event := frame.Events[first]
		if s.unproven && event.Position == s.base.Position {
			if event.Id != s.base.EventID {
				return first, false, s.changed()
			}
			s.unproven = false
		}
		first++
	}
	s.head = max(s.head, frame.Head)
	isOld = frame.Position < s.base.Position && first == len(frame.Events)
	isAtHead := frame.Kind == eventfoldv1.FrameKind_FRAME_KIND_CAUGHT_UP
	if s.unproven && (!isOld || isAtHead) {
		if err := s.prove(ctx); err != nil {
			return first, isOld, err
		}
	}
	switch {
	case isOld:
	case isAtHead:
		s.caughtUp = true
	case frame.Kind == eventfoldv1.FrameKind_FRAME_KIND_FELL_BEHIND:
		s.caughtUp = false
	}
	return first, isOld, nil
}

// prove looks up the event that was taken last, which did not come by though it should have: the
// filter may hide what it let pass before.
func (s *Subscription) prove(ctx context.Context) error {
	event, err := s.client.GetEvent(ctx, s.base.EventID)
	if hasReason(err, ErrEventNotFound) || err == nil && event.Position != s.base.Position {
		return s.changed()
	}
	s.unproven = err != nil
	return err
}

func (s *Subscription) changed() error {
	return refusal(ErrStoreIncarnationChanged, codes.FailedPrecondition,
		"the event at position "+strconv.FormatInt(s.base.Position, 10)+
			" was read, and is now missing or another one",
		map[string]string{
			"common_position": strconv.FormatInt(s.base.TokenPosition, 10),
			"token_position":  strconv.FormatInt(s.base.Position, 10),
		})
}

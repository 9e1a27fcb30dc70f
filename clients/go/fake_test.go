package eventfold_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	eventfold "eventfold.dev/go"
	pb "eventfold.dev/go/eventfold/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

// serve starts a server in this process, for what a real one does too seldom.
func serve(
	t *testing.T, register func(*grpc.Server), options ...eventfold.Option,
) *eventfold.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	options = append(options, eventfold.WithTimeout(2*time.Second))
	return open(t, listener.Addr().String(), options...)
}

// fakeGroup delivers an event for each credit, of the streams s-0 to s-9 in turn, and notes what
// was settled.
type fakeGroup struct {
	pb.UnimplementedConsumerGroupsServer
	sessions atomic.Int64
	position atomic.Int64
	settled  chan *pb.Settlement
}

func (g *fakeGroup) Consume(
	call grpc.BidiStreamingServer[pb.ConsumeRequest, pb.ConsumeResponse],
) error {
	settings := &pb.GroupSettings{AckTimeout: durationpb.New(30 * time.Second)}
	started := &pb.ConsumeStarted{Session: g.sessions.Add(1), Settings: settings}
	_ = call.Send(&pb.ConsumeResponse{Started: started})
	for {
		message, err := call.Recv()
		if err != nil {
			return nil
		}
		out := &pb.ConsumeResponse{}
		for _, one := range message.Settlements {
			select {
			case g.settled <- one:
			default:
			}
			done := &pb.SettleAnswer_Settled{Settled: &pb.Settled{}}
			out.Answers = append(out.Answers, &pb.SettleAnswer{Number: one.Number, Outcome: done})
		}
		for range message.Credits {
			at := g.position.Add(1)
			event := &pb.RecordedEvent{
				Id: "a", Stream: fmt.Sprintf("s-%d", at%10), Position: at,
			}
			out.Events = append(out.Events, event)
			out.Leases = append(out.Leases, at)
			out.Attempts = append(out.Attempts, 1)
		}
		if err := call.Send(out); err != nil {
			return err
		}
	}
}

func serveGroup(t *testing.T) (*fakeGroup, *eventfold.Client) {
	t.Helper()
	group := &fakeGroup{settled: make(chan *pb.Settlement, 1_000)}
	return group, serve(t, func(s *grpc.Server) { pb.RegisterConsumerGroupsServer(s, group) })
}

// Goal: a reason that is too long, or no UTF-8, does not break the session.
func TestReasonsAreCutToText(t *testing.T) {
	group, store := serveGroup(t)
	ctx := limited(t)
	reasons := []string{strings.Repeat("x", 1_023) + "é", "a\xffb"}
	for delivery, err := range store.Consume("g", eventfold.UnderWay(2)).Deliveries(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		delivery.Retry(reasons[0])
		if _, err := delivery.Confirm(ctx); err != nil {
			t.Fatal(err)
		}
		if found := (<-group.settled).Reason; !utf8.ValidString(found) || len(found) < 3 {
			t.Errorf("found %q", found)
		}
		if reasons = reasons[1:]; len(reasons) == 0 {
			break
		}
	}
	same(t, "sessions", group.sessions.Load(), 1)
}

// Goal: a text that cannot be sent is told as such, at once.
func TestTextsThatAreNoUTF8(t *testing.T) {
	_, store := serveGroup(t)
	ctx, breaks := limited(t), 0
	if _, err := store.GetEvent(ctx, "\xff"); !errors.Is(err, eventfold.ErrInvalidValue) {
		t.Errorf("found %v", err)
	}
	told := eventfold.OnReconnect(func(eventfold.Reconnect) { breaks++ })
	for _, err := range store.Consume("\xff", told).Deliveries(ctx) {
		if !errors.Is(err, eventfold.ErrInvalidValue) {
			t.Errorf("found %v", err)
		}
	}
	for _, err := range store.Subscribe(eventfold.Categories("\xff"), told).Events(ctx) {
		if !errors.Is(err, eventfold.ErrInvalidValue) {
			t.Errorf("found %v", err)
		}
	}
	same(t, "breaks", breaks, 0)
}

// Goal: a consumer of a busy group ends with its context.
func TestBusyConsumerEndsWithItsContext(t *testing.T) {
	_, store := serveGroup(t)
	ctx, cancel := context.WithCancel(limited(t))
	defer cancel()
	delivered, after := 0, 0
	for delivery, err := range store.Consume("g").Deliveries(ctx) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("found %v", err)
			}
			break
		}
		if ctx.Err() != nil {
			after++
		}
		if delivered++; delivered == 10 {
			cancel()
		}
		time.Sleep(time.Millisecond)
		delivery.Ack()
		if after > 20 {
			break
		}
	}
	same(t, "delivered, after", []int{delivered, after}, []int{10, 0})
}

// Goal: a handler that gives up because the consumer is to end has not failed: its event goes back
// as it is.
func TestHandlerThatIsCancelled(t *testing.T) {
	group, store := serveGroup(t)
	ctx, cancel := context.WithCancel(limited(t))
	err := store.Consume("g", eventfold.UnderWay(1)).Run(ctx, 1,
		func(ctx context.Context, _ *eventfold.Delivery) error {
			cancel()
			return fmt.Errorf("mailer: %w", ctx.Err())
		})
	if err != nil {
		t.Error(err)
	}
	same(t, "settled", len(group.settled), 0)
}

// Goal: a stream whose handler hangs holds up no other, however few slots are left, and Run ends
// with its context.
func TestHangingHandlerHoldsUpNoOtherStream(t *testing.T) {
	_, store := serveGroup(t)
	ctx, cancel := context.WithCancel(limited(t))
	var others atomic.Int64
	err := store.Consume("g", eventfold.UnderWay(50)).Run(ctx, 2,
		func(ctx context.Context, delivery *eventfold.Delivery) error {
			if delivery.Event.Stream == "s-1" {
				<-ctx.Done()
				return ctx.Err()
			}
			// The nine others of each ten.
			if others.Add(1) == 45 {
				cancel()
			}
			return nil
		})
	if err != nil || others.Load() < 45 {
		t.Errorf("handled %d, %v", others.Load(), err)
	}
}

// Goal: a number of events that no session can have is refused at once.
func TestUnderWayHasLimits(t *testing.T) {
	_, store := serveGroup(t)
	for _, n := range []int{-1, 0, 10_001} {
		consumer := store.Consume("g", eventfold.UnderWay(n))
		err := consumer.Run(limited(t), 1, nil)
		if !errors.Is(err, eventfold.ErrInvalidValue) {
			t.Errorf("%d: found %v", n, err)
		}
	}
}

// fakeLog follows nothing, and never ends.
type fakeLog struct {
	pb.UnimplementedSubscriptionsServer
}

func (fakeLog) Subscribe(
	_ *pb.SubscribeRequest, call grpc.ServerStreamingServer[pb.SubscribeResponse],
) error {
	kind := pb.FrameKind_FRAME_KIND_CAUGHT_UP
	_ = call.Send(&pb.SubscribeResponse{Kind: kind, ResumeToken: []byte("x")})
	<-call.Context().Done()
	return nil
}

// Goal: calls under way, and further ones, end when the client is closed.
func TestClosedClient(t *testing.T) {
	group := &fakeGroup{settled: make(chan *pb.Settlement, 1_000)}
	store := serve(t, func(s *grpc.Server) {
		pb.RegisterConsumerGroupsServer(s, group)
		pb.RegisterSubscriptionsServer(s, fakeLog{})
	})
	ctx := limited(t)
	found := make(chan error, 2)
	go func() {
		for _, err := range store.Subscribe().Events(ctx) {
			found <- err
		}
	}()
	go func() {
		for _, err := range store.Consume("g").Deliveries(ctx) {
			if err != nil {
				found <- err
			}
		}
	}()
	time.Sleep(200 * time.Millisecond)
	_ = store.Close()
	_, err := store.GetEvent(ctx, "x")
	for _, err := range []error{err, <-found, <-found} {
		var general *eventfold.Error
		if !errors.As(err, &general) || general.Code != codes.Canceled {
			t.Errorf("found %v", err)
		}
	}
}

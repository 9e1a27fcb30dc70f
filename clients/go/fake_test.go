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
	"google.golang.org/protobuf/types/known/durationpb"
)

// serve starts a server in this process, for what a real one does too seldom.
func serve(t *testing.T, register func(*grpc.Server)) *eventfold.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return open(t, listener.Addr().String(), eventfold.WithTimeout(2*time.Second))
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

var _ = context.Canceled

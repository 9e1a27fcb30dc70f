package eventfold_test

import (
	"context"
	"errors"
	"testing"
	"time"

	eventfold "eventfold.dev/go"
	pb "eventfold.dev/go/eventfold/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// refused is an error of the catalogue, as a server sends it.
func refused(code codes.Code, reason eventfold.Reason) error {
	told, err := status.New(code, "no").WithDetails(
		&errdetails.ErrorInfo{Reason: string(reason), Domain: "eventfold"})
	return errors.Join(err, told.Err())
}

// fakeStore refuses reads and appends.
type fakeStore struct {
	pb.UnimplementedEventStoreServer
	refusal error
}

func (s fakeStore) GetEvent(context.Context, *pb.GetEventRequest) (*pb.GetEventResponse, error) {
	return nil, s.refusal
}

func (s fakeStore) Append(context.Context, *pb.AppendRequest) (*pb.AppendResponse, error) {
	return nil, s.refusal
}

func (s fakeStore) Read(*pb.ReadRequest, grpc.ServerStreamingServer[pb.ReadResponse]) error {
	return s.refusal
}

func serveStore(t *testing.T, refusal error, options ...eventfold.Option) *eventfold.Client {
	t.Helper()
	return serve(t, func(s *grpc.Server) {
		pb.RegisterEventStoreServer(s, fakeStore{refusal: refusal})
	}, options...)
}

// afterAttempt is called when an attempt has failed, before the pause.
type afterAttempt struct{ do func() }

func (a *afterAttempt) HandleRPC(_ context.Context, one stats.RPCStats) {
	if _, isEnd := one.(*stats.End); isEnd {
		a.do()
	}
}

func (*afterAttempt) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return ctx
}

func (*afterAttempt) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}

func (*afterAttempt) HandleConn(context.Context, stats.ConnStats) {}

// Goal: who cancels a call is told so, also when it was about to be tried again; an append also
// tells that it was surely not stored, if the server said so.
func TestCancelledInAPause(t *testing.T) {
	after := &afterAttempt{}
	store := serveStore(t, refused(codes.Unavailable, eventfold.ErrStorageUnavailable),
		eventfold.WithDialOptions(grpc.WithStatsHandler(after)))
	for what, call := range map[string]func(context.Context) error{
		"get": func(ctx context.Context) error {
			_, err := store.GetEvent(ctx, "x")
			return err
		},
		"read": func(ctx context.Context) error {
			for _, err := range store.Read(ctx, "a-1") {
				return err
			}
			return nil
		},
		"append": func(ctx context.Context) error {
			event := several(eventfold.NewEvent("A", nil))
			_, err := store.Append(ctx, "a-1", eventfold.Exact(0), event)
			return err
		},
	} {
		ctx, cancel := context.WithCancel(limited(t))
		after.do = cancel
		err := call(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: found %v", what, err)
		}
		if errors.Is(err, eventfold.ErrStorageUnavailable) != (what == "append") {
			t.Errorf("%s: found %v", what, err)
		}
	}
}

// Goal: a deadline that the server noticed is one to errors.Is.
func TestDeadlineOfTheServer(t *testing.T) {
	store := serveStore(t, refused(codes.DeadlineExceeded, eventfold.ErrDeadlineExceeded))
	_, err := store.GetEvent(limited(t), "x")
	if !errors.Is(err, context.DeadlineExceeded) ||
		!errors.Is(err, eventfold.ErrDeadlineExceeded) {
		t.Errorf("found %v", err)
	}
}

// fakeFolds break a watch once, and have nothing but signs of life from then on.
type fakeFolds struct {
	pb.UnimplementedFoldsServer
	calls int
}

func (f *fakeFolds) Watch(
	_ *pb.WatchRequest, call grpc.ServerStreamingServer[pb.WatchResponse],
) error {
	if f.calls++; f.calls == 1 {
		state := &pb.HistoricState{
			Exists: true, State: []byte("{}"), Version: 5, Position: 5, EventId: "a",
		}
		_ = call.Send(&pb.WatchResponse{States: []*pb.HistoricState{state}})
		return status.Error(codes.Unavailable, "cut")
	}
	for call.Send(&pb.WatchResponse{}) == nil {
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// Goal: a watch notices that just the event that it saw last was lost.
func TestWatchNoticesALostEvent(t *testing.T) {
	store := serve(t, func(s *grpc.Server) {
		pb.RegisterFoldsServer(s, &fakeFolds{})
		lost := refused(codes.NotFound, eventfold.ErrEventNotFound)
		pb.RegisterEventStoreServer(s, fakeStore{refusal: lost})
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var last error
	states := 0
	for _, err := range eventfold.Watch[any](ctx, store, "a", "1", eventfold.FoldName("f")) {
		if last = err; err == nil {
			states++
		}
	}
	if states != 1 || !errors.Is(last, eventfold.ErrStoreIncarnationChanged) {
		t.Errorf("%d states, then %v", states, last)
	}
}

// Goal: a selection that came out empty is not taken for all.
func TestEmptySelections(t *testing.T) {
	store, ctx := serveStore(t, nil), limited(t)
	_, replay := store.ReplayParked(ctx, "g", []int64{}...)
	_, purge := store.PurgeParked(ctx, "g", []int64{}...)
	_, retry := store.RetryProjection(ctx, "p", 0, []string{}...)
	for _, err := range []error{replay, purge, retry} {
		if !errors.Is(err, eventfold.ErrInvalidValue) {
			t.Errorf("found %v", err)
		}
	}
}

// fakeSubjects break an export once, and then tell the schema again.
type fakeSubjects struct{ pb.UnimplementedSubjectsServer }

func (fakeSubjects) ExportSubject(
	request *pb.ExportSubjectRequest, call grpc.ServerStreamingServer[pb.ExportSubjectResponse],
) error {
	position := request.AfterPosition + 1
	event := &pb.RecordedEvent{Id: "a", Type: "A", Stream: "a-1", Position: position}
	_ = call.Send(&pb.ExportSubjectResponse{
		Events:  []*pb.RecordedEvent{event},
		Schemas: []*pb.ExportedSchema{{EventType: "A", Revision: 1}},
	})
	if position == 1 {
		return status.Error(codes.Unavailable, "cut")
	}
	return call.Send(&pb.ExportSubjectResponse{End: &pb.ExportEnd{Position: position}})
}

// Goal: the schema of a type comes before its first event, and once.
func TestSchemasOfAnExport(t *testing.T) {
	store := serve(t, func(s *grpc.Server) { pb.RegisterSubjectsServer(s, fakeSubjects{}) })
	order := []string{}
	schemas := eventfold.ExportSchemas(func(s *pb.ExportedSchema) {
		order = append(order, "schema "+s.EventType)
	})
	for event, err := range store.ExportSubject(limited(t), "s", schemas) {
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, event.Type)
	}
	same(t, "order", order, []string{"schema A", "A", "A"})
}

package eventfold_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	eventfold "eventfold.dev/go"
	"eventfold.dev/go/internal/servers"
)

// writer appends numbered events to several streams until it is stopped, over breaks.
type writer struct {
	stop    context.CancelFunc
	done    chan struct{}
	mutex   sync.Mutex
	written int
}

func startWriter(t *testing.T, ctx context.Context, store *eventfold.Client) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	w := &writer{stop: cancel, done: make(chan struct{})}
	t.Cleanup(func() {
		cancel()
		<-w.done
	})
	go func() {
		defer close(w.done)
		for n := 1; ctx.Err() == nil; n++ {
			event := eventfold.NewEvent("Counted", map[string]int{"n": n})
			for {
				stream := fmt.Sprintf("count-%d", n%3)
				_, err := store.Append(
					context.WithoutCancel(ctx), stream, eventfold.AnyVersion(), several(event))
				if err == nil {
					break
				}
				// The same event again: it is stored once.
				time.Sleep(50 * time.Millisecond)
			}
			w.mutex.Lock()
			w.written = n
			w.mutex.Unlock()
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return w
}

func (w *writer) count() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.written
}

func (w *writer) end() int {
	w.stop()
	<-w.done
	return w.count()
}

// numberOf is the number that the writer gave to an event.
func numberOf(t *testing.T, event *eventfold.RecordedEvent) int {
	t.Helper()
	var data struct{ N int }
	if err := event.Decode(&data); err != nil {
		t.Fatal(err)
	}
	return data.N
}

// follow reads a subscription, makes trouble at some numbers, and checks that all that was written
// came once and in order. It returns how often it was told of a break.
func follow(
	t *testing.T, ctx context.Context, store *eventfold.Client, w *writer, trouble map[int]func(),
) int {
	t.Helper()
	breaks := 0
	sub := store.Subscribe(eventfold.Categories("count"),
		eventfold.OnReconnect(func(eventfold.Reconnect) { breaks++ }))
	const wanted = 400
	next, position := 1, int64(0)
	for event, err := range sub.Events(ctx) {
		if err != nil {
			t.Fatalf("after %d events: %v", next-1, err)
		}
		if n := numberOf(t, event); n != next || event.Position <= position {
			t.Fatalf("event %d came at %d after %d, where %d should have", n, event.Position, position, next)
		}
		if place := sub.Place(); place.Position < event.Position {
			t.Fatalf("the place %d is before the event %d", place.Position, event.Position)
		}
		position = event.Position
		if make, ok := trouble[next]; ok {
			make()
		}
		if next++; next > wanted {
			break
		}
	}
	if w.end() < wanted {
		t.Fatal("the subscription had more than was written")
	}
	return breaks
}

// Goal: a subscription loses nothing and repeats nothing when its connections are cut, over and
// over, while others write.
func TestSubscriptionThroughCuts(t *testing.T) {
	w := servers.New(t)
	server := w.Ask("server").Address
	proxy := w.Ask("proxy", server).Address
	ctx := limited(t)
	writer := startWriter(t, ctx, open(t, server))
	cut := func() { w.Ask("cut", proxy) }
	trouble := map[int]func(){1: cut, 100: cut, 101: cut, 250: cut}
	breaks := follow(t, ctx, open(t, proxy), writer, trouble)
	if breaks < 3 {
		t.Errorf("%d breaks were told, and 4 were made", breaks)
	}
}

// Goal: the same through a server that is killed in the middle of the stream and started again; the
// writer goes on by repeating its appends.
func TestSubscriptionThroughKill(t *testing.T) {
	w := servers.New(t)
	server := w.Ask("server")
	ctx := limited(t)
	writer := startWriter(t, ctx, open(t, server.Address))
	restart := func() {
		w.Ask("kill", server.Number)
		w.Ask("start", server.Number)
	}
	breaks := follow(t, ctx, open(t, server.Address), writer, map[int]func(){150: restart})
	if breaks < 1 {
		t.Error("no break was told")
	}
}

// Goal: a place in the middle of a frame goes on exactly, and one of another log is refused.
func TestPlaces(t *testing.T) {
	defer caught(t)
	w := servers.New(t)
	ctx, store := limited(t), open(t, w.Ask("server").Address)
	for n := range 10 {
		event := eventfold.NewEvent("Counted", map[string]int{"n": n})
		_ = must(store.Append(ctx, "count-1", eventfold.AnyVersion(), several(event)))
	}
	var places []eventfold.Place
	sub := store.Subscribe(eventfold.OfStream("count-1"))
	for event, err := range sub.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, sub.Place())
		if numberOf(t, event) == 9 {
			break
		}
	}
	for n, place := range places[:9] {
		for event, err := range store.Subscribe(eventfold.After(place)).Events(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			same(t, "the next event", numberOf(t, event), n+1)
			break
		}
	}
	wrong := places[4]
	wrong.EventID = opened("x").ID
	for _, err := range store.Subscribe(eventfold.After(wrong)).Events(ctx) {
		if !errors.Is(err, eventfold.ErrStoreIncarnationChanged) {
			t.Fatalf("found %v", err)
		}
	}
	kinds := map[eventfold.FrameKind]bool{}
	for frame, err := range store.Subscribe(eventfold.Where("event.n > 7")).Frames(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		kinds[frame.Kind] = true
		if len(frame.Events) > 0 {
			same(t, "events of the filter", len(frame.Events), 2)
			same(t, "position", frame.Position >= frame.Events[1].Position, true)
		}
		if frame.Kind.String() == "FRAME_KIND_CAUGHT_UP" {
			break
		}
	}
	same(t, "kinds", len(kinds) >= 2, true)
	cancelled, cancel := context.WithCancel(ctx)
	now := store.Subscribe(eventfold.FromNow())
	time.AfterFunc(300*time.Millisecond, cancel)
	for event, err := range now.Events(cancelled) {
		if event != nil || !errors.Is(err, context.Canceled) {
			t.Fatalf("found %v, %v", event, err)
		}
	}
	same(t, "caught up", now.IsCaughtUp(), true)
}

// Goal: a group hands every event out until it is settled, through cuts of the connection; a parked
// event is listed, replayed and purged.
func TestGroupThroughCuts(t *testing.T) {
	defer caught(t)
	w := servers.New(t)
	server := w.Ask("server").Address
	proxy := w.Ask("proxy", server).Address
	ctx, direct := limited(t), open(t, server)
	store := open(t, proxy)
	_, created, err := store.CreateGroup(ctx, "mailer", eventfold.Categories("count"),
		eventfold.StartAt(eventfold.FromBeginning()))
	same(t, "created", []any{created, err}, []any{true, nil})
	writer := startWriter(t, ctx, direct)
	lost := 0
	consumer := store.Consume("mailer", eventfold.ConsumerName("a"), eventfold.UnderWay(20),
		eventfold.OnLost(func(*eventfold.Delivery, error) { lost++ }))
	handled := map[int]int{}
	lastOf := map[string]int{}
	for delivery, err := range consumer.Deliveries(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		n := numberOf(t, delivery.Event)
		if handled[n] == 0 {
			if n < lastOf[delivery.Event.Stream] {
				t.Fatalf("event %d came after %d", n, lastOf[delivery.Event.Stream])
			}
			lastOf[delivery.Event.Stream] = n
		}
		handled[n]++
		delivery.Ack()
		if len(handled)%60 == 0 && handled[n] == 1 {
			w.Ask("cut", proxy)
		}
		if len(handled) == 300 {
			break
		}
	}
	writer.end()
	for n := 1; n <= 250; n++ {
		if handled[n] == 0 {
			t.Errorf("event %d was never delivered", n)
		}
	}
	checkParking(t, ctx, store, consumer)
}

func checkParking(
	t *testing.T, ctx context.Context, store *eventfold.Client, consumer *eventfold.Consumer,
) {
	t.Helper()
	for delivery, err := range consumer.Deliveries(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := delivery.Confirm(ctx); !errors.Is(err, eventfold.ErrInvalidValue) {
			t.Fatalf("a delivery that is not settled: %v", err)
		}
		delivery.Park("looks odd")
		_ = must(delivery.Confirm(ctx))
		break
	}
	parked := collect(t, store.ListParked(ctx, "mailer"))
	same(t, "parked", []any{len(parked), parked[0].About.Reason}, []any{1, "looks odd"})
	group, status, err := store.GetGroup(ctx, "mailer")
	same(t, "status", []any{group.Name, status.Parked, err}, []any{"mailer", 1, nil})
	same(t, "replayed", must(store.ReplayParked(ctx, "mailer", parked[0].Event.Position)), 1)
	same(t, "purged", must(store.PurgeAllParked(ctx, "mailer")), 0)
	same(t, "replayed all", must(store.ReplayAllParked(ctx, "mailer")), 0)
	same(t, "groups", len(collect(t, store.ListGroups(ctx))), 1)
	_ = must(store.ResetGroup(ctx, "mailer", eventfold.FromNow()))
	if err := store.DeleteGroup(ctx, "mailer"); err != nil {
		t.Fatal(err)
	}
	for _, err := range consumer.Deliveries(ctx) {
		if !errors.Is(err, eventfold.ErrGroupNotFound) {
			t.Fatalf("found %v", err)
		}
	}
}

// Goal: a consumer that never had an event waits for its server longer than the timeout, once it
// was connected.
func TestIdleConsumerThroughOutage(t *testing.T) {
	defer caught(t)
	w := servers.New(t)
	server := w.Ask("server")
	ctx, store := limited(t), open(t, server.Address, eventfold.WithTimeout(2*time.Second))
	_, _, err := store.CreateGroup(ctx, "idle")
	same(t, "created", err, nil)
	breaks := make(chan struct{}, 1_000)
	go func() {
		// As soon as it is seen among the consumers, the server goes away.
		for ctx.Err() == nil {
			_, status, err := store.GetGroup(ctx, "idle")
			if err == nil && len(status.Consumers) == 1 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		w.Ask("kill", server.Number)
		<-breaks
		time.Sleep(4 * time.Second)
		w.Ask("start", server.Number)
		_, _ = store.Append(ctx, "count-1", eventfold.AnyVersion(), several(opened("A")))
	}()
	tell := eventfold.OnReconnect(func(eventfold.Reconnect) { breaks <- struct{}{} })
	for delivery, err := range store.Consume("idle", tell).Deliveries(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		same(t, "type", delivery.Event.Type, "AccountOpened")
		delivery.Ack()
		break
	}
}

// Goal: Run handles streams side by side and each in order, retries what fails, and finishes what
// is in hand when it is stopped.
func TestGroupRun(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	_, _, err := store.CreateGroup(ctx, "workers", eventfold.Types("Counted"))
	same(t, "created", err, nil)
	for n := range 60 {
		event := eventfold.NewEvent("Counted", map[string]int{"n": n})
		stream := fmt.Sprintf("count-%d", n%5)
		_ = must(store.Append(ctx, stream, eventfold.AnyVersion(), several(event)))
	}
	running, stop := context.WithCancel(ctx)
	var mutex sync.Mutex
	handled := map[int]int{}
	err = store.Consume("workers").Run(running, 4,
		func(_ context.Context, delivery *eventfold.Delivery) error {
			mutex.Lock()
			defer mutex.Unlock()
			n := numberOf(t, delivery.Event)
			if n == 30 && delivery.Attempt == 1 {
				return errors.New("not yet")
			}
			if n >= 5 && handled[n-5] == 0 {
				t.Errorf("event %d came before %d", n, n-5)
			}
			if handled[n]++; len(handled) == 60 {
				stop()
			}
			return nil
		})
	same(t, "stopped", err, nil)
	for n := range 60 {
		if handled[n] != 1 {
			t.Errorf("event %d was handled %d times", n, handled[n])
		}
	}
	_, status, err := store.GetGroup(ctx, "workers")
	same(t, "left", []any{status.Waiting, status.UnderWay, status.Retrying, err}, []any{0, 0, 0, nil})
}

package eventfold_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	eventfold "eventfold.dev/go"
	eventfoldv1 "eventfold.dev/go/eventfold/v1"
	"eventfold.dev/go/internal/servers"
	"github.com/google/uuid"
)

// attempts are calls of each kind: a read, an append, a stream, a subscription, a group.
func attempts(ctx context.Context, store *eventfold.Client) map[string]error {
	_, hydrating := eventfold.Hydrate[any](ctx, store, "account", "1", eventfold.FoldName("f"))
	event := several(opened("A"))
	_, appending := store.Append(ctx, "account-1", eventfold.Exact(0), event)
	found := map[string]error{"hydrate": hydrating, "append": appending}
	for _, err := range store.Read(ctx, "account-1") {
		found["read"] = err
	}
	for _, err := range store.Subscribe(eventfold.GiveUpAfter(time.Second)).Events(ctx) {
		found["subscribe"] = err
	}
	for _, err := range store.Consume("g", eventfold.GiveUpAfter(time.Second)).Deliveries(ctx) {
		found["consume"] = err
	}
	_, _, found["write"] = store.PutFold(ctx, accountFold)
	return found
}

// Goal: whatever answers in place of the server, each kind of call ends in a typed error, in time.
func TestWrongServers(t *testing.T) {
	w := servers.New(t)
	unexpected, failed := eventfold.ErrUnexpectedAnswer, eventfold.ErrConnectionFailed
	tls := w.Ask("server", "tls")
	other := w.Ask("authority").Authority
	for name, one := range map[string]struct {
		address string
		options []eventfold.Option
		reason  eventfold.Reason
	}{
		"stranger":          {w.Ask("stranger").Address, nil, unexpected},
		"later version":     {w.Ask("later").Address, nil, unexpected},
		"garbled":           {w.Ask("garbled").Address, nil, unexpected},
		"web":               {w.Ask("web").Address, nil, unexpected},
		"nobody":            {"127.0.0.1:1", nil, failed},
		"plain text to TLS": {tls.Address, nil, failed},
		"unknown authority": {
			tls.Address, []eventfold.Option{eventfold.WithAuthorities([]byte(other))}, failed,
		},
		"authorities of the system": {
			tls.Address, []eventfold.Option{eventfold.WithTLS(nil)}, failed,
		},
		"TLS to plain text": {
			w.Ask("server").Address, []eventfold.Option{eventfold.WithTLS(nil)}, failed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := append(one.options, eventfold.WithTimeout(3*time.Second))
			began := time.Now()
			for call, err := range attempts(t.Context(), open(t, one.address, options...)) {
				var general *eventfold.Error
				if !errors.Is(err, one.reason) || !errors.As(err, &general) {
					t.Errorf("%s: found %v, not %s", call, err, one.reason)
				}
			}
			if passed := time.Since(began); passed > 40*time.Second {
				t.Errorf("it took %s", passed)
			}
		})
	}
}

// Goal: a server that never says a word costs no more than the deadline, and an append is told to
// be of unknown outcome.
func TestSilentServer(t *testing.T) {
	w := servers.New(t)
	store := open(t, w.Ask("silent").Address, eventfold.WithTimeout(time.Second))
	for call, err := range attempts(t.Context(), store) {
		reason := eventfold.ErrDeadlineExceeded
		switch call {
		case "append", "write":
			reason = eventfold.ErrOutcomeUnknown
		case "subscribe", "consume":
			reason = eventfold.ErrConnectionFailed
		}
		if !errors.Is(err, reason) {
			t.Errorf("%s: found %v, not %s", call, err, reason)
		}
		isInTime := reason == eventfold.ErrConnectionFailed
		if !isInTime && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v is not that of the context", call, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := store.GetEvent(ctx, opened("A").ID)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("found %v", err)
	}
	_, err = store.Append(ctx, "account-1", eventfold.AnyVersion(), nil)
	if !errors.Is(err, context.Canceled) || errors.Is(err, eventfold.ErrOutcomeUnknown) {
		t.Errorf("nothing was sent, and found %v", err)
	}
}

// Goal: a deadline ends a call that the server lets wait, with the server's word for it.
func TestDeadline(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := eventfold.Hydrate[any](short, store, "account", "1",
		eventfold.FoldSource(accountFold), eventfold.AtLeastPosition(1_000))
	if !errors.Is(err, eventfold.ErrDeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Fatalf("after %s found %v", time.Since(began), err)
	}
	for _, err := range store.ReadAll(short) {
		if !errors.Is(err, eventfold.ErrDeadlineExceeded) {
			t.Errorf("found %v", err)
		}
	}
}

// Goal: a token goes where it is safe, and is told from none and from a wrong one.
func TestTokens(t *testing.T) {
	defer caught(t)
	w := servers.New(t)
	ctx, address := limited(t), w.Ask("server", "tokens").Address
	writer := open(t, address, eventfold.WithToken("conformance-all"))
	event := several(opened("A"))
	_ = must(writer.Append(ctx, "account-1", eventfold.Exact(0), event))
	same(t, "writer", collect(t, writer.Read(ctx, "account-1"))[0].Writer, "all")
	_, err := open(t, address).Append(ctx, "account-1", eventfold.Exact(1), event)
	var unknown *eventfold.UnauthenticatedError
	if !errors.As(err, &unknown) {
		t.Errorf("without a token: %v", err)
	}
	reader := open(t, address, eventfold.WithToken("conformance-reader"))
	_, err = reader.Append(ctx, "account-1", eventfold.Exact(1), event)
	var denied *eventfold.PermissionDeniedError
	if !errors.As(err, &denied) || denied.Permission() != "write" {
		t.Errorf("with a reader's token: %v", err)
	}
	for _, err := range open(t, address).Subscribe().Events(ctx) {
		if !errors.Is(err, eventfold.ErrUnauthenticated) {
			t.Errorf("a subscription without a token: %v", err)
		}
	}
	_, err = eventfold.Open("db.example:4141", eventfold.WithToken("t"))
	var insecure *eventfold.InsecureConnectionError
	if !errors.As(err, &insecure) || insecure.Target() != "db.example:4141" {
		t.Errorf("a token in plain text: %v", err)
	}
	for _, target := range []string{"[::1]:1", "localhost:1", "dns:///127.0.0.1:1", "unix:/a"} {
		_ = must(eventfold.Open(target, eventfold.WithToken("t"))).Close()
	}
	guarded := []eventfold.Option{eventfold.WithToken("t"), eventfold.WithInsecure()}
	_ = must(eventfold.Open("db.example:1", guarded...)).Close()
	for _, target := range []string{"127.0.0.1.example:1", "10.0.0.1:1", "localhost.example:1"} {
		if _, err := eventfold.Open(target, eventfold.WithToken("t")); err == nil {
			t.Errorf("a token may go in plain text to %s", target)
		}
	}
	for _, token := range []string{"", "a b", "a\nb", "é"} {
		if _, err := eventfold.Open(address, eventfold.WithToken(token)); err == nil {
			t.Errorf("%q is a token", token)
		}
	}
}

// Goal: TLS with the authority of the server, and a token over it.
func TestTLS(t *testing.T) {
	defer caught(t)
	w := servers.New(t)
	server := w.Ask("server", "tls")
	store := open(t, server.Address, eventfold.WithAuthorities([]byte(server.Authority)))
	_ = must(store.Append(limited(t), "account-1", eventfold.Exact(0), several(opened("A"))))
	_, err := eventfold.Open(server.Address, eventfold.WithAuthorities([]byte("no PEM")))
	if !errors.Is(err, eventfold.ErrInvalidValue) {
		t.Errorf("found %v", err)
	}
}

// Goal: what cannot be sent is refused with its place, and what the server refuses has its facts.
func TestWrongRequests(t *testing.T) {
	ctx, store := onServer(t)
	_, err := store.Append(ctx, "account-1", eventfold.Exact(0),
		several(opened("A"), eventfold.NewEvent("Odd", func() {})))
	var invalid *eventfold.InvalidValueError
	if !errors.As(err, &invalid) || invalid.Facts["path"] != "events[1].data" {
		t.Errorf("found %v", err)
	}
	_, err = store.Append(ctx, "account-1", eventfold.Exact(0),
		several(eventfold.NewEvent("Odd", []byte(`{"a": secretword}`))))
	var syntax *eventfold.InvalidJSONError
	if !errors.As(err, &syntax) || syntax.Problem() != "syntax" || syntax.Field() != "data" {
		t.Errorf("found %v", err)
	}
	huge := eventfold.NewEvent("Odd", map[string]string{"a": string(make([]byte, 2<<20))})
	_, err = store.Append(ctx, "account-1", eventfold.Exact(0), several(huge, huge))
	if !errors.Is(err, eventfold.ErrAppendTooLarge) {
		t.Errorf("found %v", err)
	}
	_, err = store.Append(ctx, "account-1", eventfold.ExpectedVersion{}, several(opened("A")))
	if !errors.Is(err, eventfold.ErrExpectedVersionRequired) {
		t.Errorf("found %v", err)
	}
	_, err = eventfold.Hydrate[any](ctx, store, "a-b", "1", eventfold.FoldName("f"))
	if !errors.Is(err, eventfold.ErrInvalidStreamName) {
		t.Errorf("found %v", err)
	}
	for _, err := range store.Read(ctx, "account-none") {
		var missing *eventfold.StreamNotFoundError
		if !errors.As(err, &missing) || missing.Stream() != "account-none" {
			t.Errorf("found %v", err)
		}
	}
	// A stub is bound to the same rules.
	request := &eventfoldv1.GetTransformRequest{TransformId: uuid.NewString()}
	_, err = store.Stubs().Transforms.GetTransform(ctx, request)
	var unknown *eventfold.TransformNotFoundError
	if !errors.As(err, &unknown) {
		t.Errorf("found %v", err)
	}
}

// Goal: calls survive a server that is started again, and an append is stored once.
func TestRestart(t *testing.T) {
	defer caught(t)
	w := servers.New(t)
	server := w.Ask("server")
	ctx, store := limited(t), open(t, server.Address)
	event := several(opened("A"))
	_ = must(store.Append(ctx, "account-1", eventfold.Exact(0), event))
	w.Ask("kill", server.Number)
	_, err := store.Append(ctx, "account-1", eventfold.Exact(0), event)
	if !errors.Is(err, eventfold.ErrConnectionFailed) {
		t.Fatalf("found %v", err)
	}
	w.Ask("start", server.Number)
	again := must(store.Append(ctx, "account-1", eventfold.Exact(0), event))
	same(t, "again", []any{again.Duplicate, again.LastVersion}, []any{true, 1})
}

// Goal: a read of many events goes on through cuts, without gap or repetition.
func TestBigReadThroughCuts(t *testing.T) {
	defer caught(t)
	w := servers.New(t)
	server := w.Ask("server").Address
	proxy := w.Ask("proxy", server).Address
	ctx, direct, store := limited(t), open(t, server), open(t, proxy)
	filler := strings.Repeat("x", 2_000)
	for range 10 {
		events := make([]eventfold.Event, 200)
		for i := range events {
			events[i] = eventfold.NewEvent("Filled", map[string]string{"filler": filler})
		}
		_ = must(direct.Append(ctx, "big-1", eventfold.AnyVersion(), events))
	}
	count := int64(0)
	for event, err := range store.Read(ctx, "big-1") {
		if err != nil {
			t.Fatal(err)
		}
		if count++; event.Version != count {
			t.Fatalf("version %d came as number %d", event.Version, count)
		}
		if count%600 == 1 {
			w.Ask("cut", proxy)
		}
	}
	same(t, "events", count, 2_000)
	var end eventfold.ReadEnd
	count = 0
	for _, err := range store.ReadAll(ctx, eventfold.Limit(1_500), eventfold.EndAt(&end)) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; count == 700 {
			w.Ask("cut", proxy)
		}
	}
	same(t, "limited", []any{count, end.Position, end.EndReached}, []any{1_500, 1_500, false})
}

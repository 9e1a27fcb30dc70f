package eventfold_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	eventfold "eventfold.dev/go"
	eventfoldv1 "eventfold.dev/go/eventfold/v1"
	"eventfold.dev/go/internal/servers"
)

// soon makes a call again until it goes well: what the server does by itself takes its time.
func soon[T any](t *testing.T, call func() (T, error)) T {
	t.Helper()
	ends := time.Now().Add(time.Minute)
	for {
		found, err := call()
		if err == nil || time.Now().After(ends) {
			return must(found, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Goal: folds are registered once, and many streams are folded at once, also those that fail.
func TestFolds(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	fold, created, err := store.PutFold(ctx, accountFold)
	same(t, "put", []any{fold.GetName(), fold.GetRevision(), created, err},
		[]any{"account", 1, true, nil})
	_, created, err = store.PutFold(ctx, accountFold)
	same(t, "again", []any{created, err}, []any{false, nil})
	same(t, "get", must(store.GetFold(ctx, "account", 0)).Digest, fold.Digest)
	same(t, "list", len(collect(t, store.ListFolds(ctx))), 1)
	streams := []string{"account-none"}
	for n := range 30 {
		name := fmt.Sprintf("account-%d", n)
		_ = must(store.Append(ctx, name, eventfold.Exact(0), several(deposited(fmt.Sprint(n)))))
		streams = append(streams, name)
	}
	broken := eventfold.NewEvent("MoneyDeposited", map[string]string{"amount": "much"})
	_ = must(store.Append(ctx, "account-7", eventfold.Exact(1), several(broken)))
	found := map[string]eventfold.HydratedStream[account]{}
	name := eventfold.FoldName("account")
	for one, err := range eventfold.HydrateMany[account](ctx, store, streams, name) {
		if err != nil {
			t.Fatal(err)
		}
		found[one.Stream] = one
	}
	same(t, "streams", len(found), 31)
	same(t, "one", found["account-9"].Hydrated.State.Balance, json.Number("9"))
	same(t, "none", found["account-none"].Hydrated.Exists, false)
	var failed *eventfold.FoldFailedError
	if !errors.As(found["account-7"].Err, &failed) || failed.Version() != 2 {
		t.Errorf("found %v", found["account-7"].Err)
	}
	now := must(eventfold.Hydrate[account](ctx, store, "account", "9", eventfold.FoldName("account"),
		eventfold.AsRecordedAt(time.Now().Add(time.Hour))))
	same(t, "in time", now.State.Balance, json.Number("9"))
}

// Goal: handlers fold here, and Retry decides again when another writer was faster. Method: the
// decision itself appends behind its own back, once.
func TestRetry(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	handlers := eventfold.Handlers[int]{
		On: map[string]func(int, *eventfold.RecordedEvent) (int, error){
			"MoneyDeposited": func(state int, event *eventfold.RecordedEvent) (int, error) {
				var data struct{ Amount int }
				err := event.Decode(&data)
				return state + data.Amount, err
			},
		},
	}
	first := must(eventfold.ReadAggregate(ctx, store, "account", "1", handlers))
	same(t, "no stream", first, eventfold.Aggregate[int]{Stream: "account-1"})
	_ = must(store.Append(ctx, "account-1", eventfold.Exact(0), several(opened("A"), deposited("7"))))
	read := must(eventfold.ReadAggregate(ctx, store, "account", "1", handlers))
	same(t, "read", read, eventfold.Aggregate[int]{State: 7, Version: 2, Stream: "account-1"})

	seen := []string{}
	decide := func(state account) ([]eventfold.Event, error) {
		if seen = append(seen, state.Balance.String()); len(seen) == 1 {
			_ = must(store.Append(ctx, "account-1", eventfold.Exact(2), several(deposited("1"))))
		}
		return several(deposited("10")), nil
	}
	fold := eventfold.FoldSource(accountFold)
	appended := must(eventfold.Retry(ctx, store, "account", "1", fold, decide))
	same(t, "decisions", seen, []string{"7", "8"})
	same(t, "version", appended.LastVersion, 4)
	nothing := func(int) ([]eventfold.Event, error) { return nil, nil }
	none, err := eventfold.RetryHandlers(ctx, store, "account", "1", handlers, nothing)
	same(t, "nothing", []any{none == nil, err}, []any{true, nil})
	moving := func(int) ([]eventfold.Event, error) {
		_ = must(store.Append(ctx, "account-1", eventfold.AnyVersion(), several(deposited("1"))))
		return several(deposited("1")), nil
	}
	twice := eventfold.Attempts(2)
	_, err = eventfold.RetryHandlers(ctx, store, "account", "1", handlers, moving, twice)
	if !errors.Is(err, eventfold.ErrVersionConflict) {
		t.Errorf("found %v", err)
	}
	refused := errors.New("refused")
	_, err = eventfold.Retry(ctx, store, "account", "1", fold,
		func(account) ([]eventfold.Event, error) { return nil, refused })
	same(t, "the error of the decision", err == refused, true)
}

// Goal: mistakes are cancelled, books are closed and go on.
func TestCompensateAndClose(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	wrong, right := deposited("97"), deposited("79")
	_ = must(store.Append(ctx, "account-1", eventfold.Exact(0), several(opened("A"), wrong)))
	appended := must(store.Compensate(ctx, "account-1", eventfold.Exact(2), eventfold.Compensation{
		EventID: wrong.ID, Reason: "digits were swapped", Correction: &right,
	}))
	same(t, "versions", []any{appended.FirstVersion, appended.LastVersion}, []any{3, 4})
	marked := collect(t, store.Read(ctx, "account-1", eventfold.MarkCancelled()))
	same(t, "marks", []any{
		marked[1].Flags.Has(eventfoldv1.EventFlag_EVENT_FLAG_CANCELLED), marked[2].Cancels,
	}, []any{true, wrong.ID})
	_, err := store.Compensate(ctx, "account-1", eventfold.AnyVersion(), eventfold.Compensation{
		EventID: wrong.ID, Reason: "again",
	})
	var already *eventfold.EventAlreadyCancelledError
	if !errors.As(err, &already) || already.CancelledBy() != marked[2].ID {
		t.Errorf("found %v", err)
	}

	closed := must(store.CloseStream(ctx, "account-1", eventfold.Exists(),
		eventfold.Successor("account-1@2"), eventfold.CarryStates(eventfold.FoldSource(accountFold)),
		eventfold.ClosingEvent("", "", json.RawMessage(`{"year": 2026}`))))
	same(t, "closed", []any{closed.Version, closed.Successor, len(closed.States)},
		[]any{5, "account-1@2", 1})
	_, err = store.Append(ctx, "account-1", eventfold.AnyVersion(), several(deposited("1")))
	var isClosed *eventfold.StreamClosedError
	if !errors.As(err, &isClosed) || isClosed.Successor() != "account-1@2" {
		t.Errorf("found %v", err)
	}
	followed := must(store.Append(ctx, "account-1", eventfold.AnyVersion(),
		several(deposited("1")), eventfold.FollowOpen))
	same(t, "followed", followed.Stream, "account-1@2")
	decided := must(eventfold.Retry(ctx, store, "account", "1", eventfold.FoldSource(accountFold),
		func(state account) ([]eventfold.Event, error) {
			same(t, "carried", state.Balance, json.Number("177"))
			return several(deposited("2")), nil
		}))
	same(t, "decided on", []any{decided.Stream, decided.LastVersion}, []any{"account-1@2", 3})
	handlers := eventfold.Handlers[int]{
		On: map[string]func(int, *eventfold.RecordedEvent) (int, error){
			"MoneyDeposited": func(n int, _ *eventfold.RecordedEvent) (int, error) { return n + 1, nil },
		},
	}
	_, err = eventfold.ReadAggregate(ctx, store, "account", "1@2", handlers)
	if !errors.Is(err, eventfold.ErrStateNotCarried) {
		t.Errorf("found %v", err)
	}
	all := must(eventfold.ReadAggregate(ctx, store, "account", "1@2", handlers, eventfold.FollowAll))
	same(t, "all periods", []any{all.State, all.Version, all.Stream}, []any{4, 3, "account-1@2"})
}

// Goal: a watch gives every state, also through a cut.
func TestWatch(t *testing.T) {
	defer caught(t)
	w := servers.New(t)
	server := w.Ask("server").Address
	proxy := w.Ask("proxy", server).Address
	ctx, direct, store := limited(t), open(t, server), open(t, proxy)
	versions := []int64{}
	for state, err := range eventfold.Watch[account](
		ctx, store, "account", "1", eventfold.FoldSource(accountFold)) {
		if err != nil {
			t.Fatal(err)
		}
		if versions = append(versions, state.Version); len(versions) == 6 {
			same(t, "state", state.State.Balance, json.Number("0.5"))
			break
		}
		if len(versions)%2 == 1 {
			w.Ask("cut", proxy)
		}
		_ = must(direct.Append(ctx, "account-1", eventfold.AnyVersion(), several(deposited("0.1"))))
	}
	same(t, "versions", versions, []int64{0, 1, 2, 3, 4, 5})
}

const customers = `
projection: customers
source: {category: customer}
handlers:
  Registered: {name: "event.name", age: "event.age"}
columns: {name: text, age: integer}
on_error: park
`

type customer struct {
	Name string
	Age  json.Number
}

// Goal: the life of a projection, and its queries.
func TestProjections(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	projection, generation, err := store.PutProjection(ctx, customers, eventfold.SwitchByHand)
	same(t, "put", []any{projection.GetName(), generation, err}, []any{"customers", 1, nil})
	position := int64(0)
	for n := range 25 {
		data := map[string]any{"name": fmt.Sprintf("n%02d", n), "age": n}
		event := eventfold.NewEvent("Registered", data)
		stream := fmt.Sprintf("customer-%02d", n)
		position = must(store.Append(ctx, stream, eventfold.Exact(0), several(event))).Positions[0]
	}
	fresh := &eventfold.Freshness{}
	rows := collect(t, eventfold.Query[customer](ctx, store, "customers", eventfold.Filter("age >= 5"),
		eventfold.Descending("age"), eventfold.PageSize(7), eventfold.AtLeastPosition(position),
		eventfold.FreshnessAt(fresh)))
	same(t, "rows", []any{len(rows), rows[0].Columns, rows[19].Columns},
		[]any{20, customer{"n24", "24"}, customer{"n05", "5"}})
	same(t, "fresh", []any{fresh.Position >= position, fresh.Generation}, []any{true, 1})
	limited := collect(t, eventfold.Query[customer](ctx, store, "customers", eventfold.OrderBy("name"),
		eventfold.Limit(3), eventfold.Columns("name")))
	same(t, "limited", []any{len(limited), limited[2].Key, string(limited[2].JSON)},
		[]any{3, "customer-02", `{"name":"n02"}`})
	same(t, "count", must(store.Count(ctx, "customers", eventfold.Filter("age < 5"))), 5)
	_, err = store.Count(ctx, "customers", eventfold.Filter("age <"))
	if !errors.Is(err, eventfold.ErrInvalidExpression) {
		t.Errorf("found %v", err)
	}
	odd := eventfold.NewEvent("Registered", map[string]any{"name": "x", "age": "old"})
	position = must(store.Append(ctx, "customer-x", eventfold.Exact(0), several(odd))).Positions[0]
	_ = must(store.Count(ctx, "customers", eventfold.AtLeastPosition(position)))
	parked := collect(t, store.ListParkedKeys(ctx, "customers", 0))
	same(t, "parked", []any{len(parked), parked[0].Key}, []any{1, "customer-x"})
	same(t, "retried", must(store.RetryAllKeys(ctx, "customers", 0)).KeysFailed, 1)
	same(t, "retried by key",
		must(store.RetryProjection(ctx, "customers", 0, parked[0].Key)).KeysFailed, 1)

	_, generation, err = store.RebuildProjection(ctx, "customers", eventfold.SwitchByHand)
	same(t, "rebuilt", []any{generation, err}, []any{2, nil})
	_ = soon(t, func() (*eventfold.Projection, error) {
		return store.SwitchProjection(ctx, "customers", 2)
	})
	same(t, "verified", must(store.VerifyProjection(ctx, "customers", 0, 10)).KeysDiffering, 0)
	same(t, "active", must(store.GetProjection(ctx, "customers")).Active, 2)
	same(t, "listed", len(collect(t, store.ListProjections(ctx))), 1)
	err = store.DropProjection(ctx, "customers", 2)
	if !errors.Is(err, eventfold.ErrProjectionInUse) {
		t.Errorf("found %v", err)
	}
	if err := store.DropProjection(ctx, "customers", 0); err != nil {
		t.Error(err)
	}
	for _, err := range eventfold.Query[customer](ctx, store, "customers") {
		if !errors.Is(err, eventfold.ErrProjectionNotFound) {
			t.Errorf("found %v", err)
		}
	}
}

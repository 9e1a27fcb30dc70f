package eventfold_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	eventfold "eventfold.dev/go"
)

const accountFold = `
fold: account
initial: {open: false, owner: null, balance: 0}
handlers:
  AccountOpened: {open: true, owner: "event.owner"}
  MoneyDeposited: {balance: "state.balance + event.amount"}
  MoneyWithdrawn: {balance: "state.balance - event.amount"}
`

type account struct {
	Open    bool
	Owner   string
	Balance json.Number
}

func opened(owner string) eventfold.Event {
	return eventfold.NewEvent("AccountOpened", map[string]string{"owner": owner})
}

func deposited(amount string) eventfold.Event {
	return eventfold.NewEvent("MoneyDeposited", map[string]json.Number{"amount": json.Number(amount)})
}

// Goal: what was appended is read, folded and found. Method: each call once, on a real server.
func TestAppendReadHydrate(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	events := several(opened("Ada"), deposited("0.1"), deposited("0.2"))
	events[1].Tags = []string{"cash"}
	events[1].Metadata = map[string]string{"correlation_id": "c-1"}
	appended := must(store.Append(ctx, "account-1", eventfold.Exact(0), events))
	same(t, "versions", []int64{appended.FirstVersion, appended.LastVersion}, []int64{1, 3})
	again := must(store.Append(ctx, "account-1", eventfold.Exact(0), events))
	same(t, "a repetition", []any{again.Duplicate, again.Positions}, []any{true, appended.Positions})

	var end eventfold.ReadEnd
	read := collect(t, store.Read(ctx, "account-1", eventfold.EndAt(&end)))
	same(t, "events", len(read), 3)
	same(t, "data", read[1].Data, map[string]json.Number{"amount": "0.1"})
	same(t, "metadata", read[1].Metadata, map[string]string{"correlation_id": "c-1"})
	same(t, "id and tags", []any{read[1].ID, read[1].Tags}, []any{events[1].ID, []string{"cash"}})
	same(t, "end", []any{end.Version, end.EndReached, end.Stream}, []any{3, true, "account-1"})
	if read[1].RecordedAt.IsZero() || len(end.ResumeToken) == 0 {
		t.Error("a time or the resume token is missing")
	}
	some := collect(t, store.Read(ctx, "account-1", eventfold.Backwards(), eventfold.Limit(1),
		eventfold.Types("MoneyDeposited"), eventfold.FromVersion(3), eventfold.ToVersion(1)))
	same(t, "backwards", []any{len(some), some[0].Version}, []any{1, 3})

	fold := eventfold.FoldSource(accountFold)
	found := must(eventfold.Hydrate[account](ctx, store, "account", "1", fold))
	same(t, "state", found.State, account{true, "Ada", "0.3"})
	same(t, "version", []any{found.Version, found.Exists, found.Stream}, []any{3, true, "account-1"})
	early := must(eventfold.Hydrate[account](ctx, store, "account", "1", fold,
		eventfold.AtVersion(2), eventfold.AtLeastPosition(appended.Positions[2])))
	same(t, "state at 2", early.State.Balance, json.Number("0.1"))
	none := must(eventfold.Hydrate[account](ctx, store, "account", "no", fold))
	same(t, "no stream", []any{none.Exists, none.Version}, []any{false, 0})

	event := must(store.GetEvent(ctx, events[2].ID))
	same(t, "event", event.Version, 3)
	stream := must(store.GetStream(ctx, "account-1"))
	same(t, "stream", []any{stream.Version, stream.Category}, []any{3, "account"})
	never := must(store.GetStream(ctx, "account-no"))
	same(t, "no stream", []any{never.Version, never.Id}, []any{0, "no"})
	streams := collect(t, store.ListStreams(ctx, nil))
	same(t, "streams", []any{len(streams), streams[0].Name}, []any{1, "account-1"})
	log := collect(t, store.ReadAll(ctx, eventfold.Categories("account"), eventfold.EndAt(&end)))
	same(t, "log", len(log), 3)
	rest := collect(t, store.ReadAll(ctx, eventfold.AfterToken(end.ResumeToken)))
	same(t, "behind the token", len(rest), 0)
}

// Goal: decisions on an old state are refused, with the facts in types.
func TestVersionConflict(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	_ = must(store.Append(ctx, "account-1", eventfold.AnyVersion(), several(opened("A"))))
	_, err := store.Append(ctx, "account-1", eventfold.Exact(0), several(opened("B")))
	var conflict *eventfold.VersionConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, eventfold.ErrVersionConflict) {
		t.Fatalf("found %v", err)
	}
	same(t, "facts", []any{conflict.Expected(), conflict.Actual(), conflict.Stream()},
		[]any{"0", 1, "account-1"})
	var general *eventfold.Error
	if !errors.As(err, &general) || errors.Is(err, eventfold.ErrStreamClosed) {
		t.Fatalf("found %v", err)
	}
	same(t, "general", []any{general.Reason, general.Facts["actual"], general.Code.String()},
		[]any{"VERSION_CONFLICT", "1", "Aborted"})

	checked := must(store.CheckAppend(ctx, "account-1", eventfold.Exact(1), several(opened("B"))))
	same(t, "dry run", []any{checked.FirstVersion, checked.Refused}, []any{2, nil})
	_, err = store.AppendMany(ctx, []eventfold.StreamAppend{
		{Stream: "account-2", Expected: eventfold.Exact(0), Events: several(opened("C"))},
		{Stream: "account-1", Expected: eventfold.Exact(7), Events: several(deposited("1"))},
	}, eventfold.StreamCheck{Stream: "account-9", Expected: eventfold.Exists()})
	var failed *eventfold.ChecksFailedError
	if !errors.As(err, &failed) || !errors.Is(err, eventfold.ErrChecksFailed) ||
		!errors.Is(err, eventfold.ErrVersionConflict) {
		t.Fatalf("found %v", err)
	}
	same(t, "checks", []any{len(failed.Failed), failed.Failed[0].AppendIndex,
		failed.Failed[0].ActualVersion, failed.Failed[1].CheckIndex}, []any{2, 1, 1, 0})
	stored := must(store.AppendMany(ctx, []eventfold.StreamAppend{
		{Stream: "account-2", Expected: eventfold.Exact(0), Events: several(opened("C"))},
		{Stream: "account-3", Expected: eventfold.Exact(0), Events: several(opened("D"))},
	}))
	same(t, "stored", []any{stored[1].Stream, stored[1].LastVersion}, []any{"account-3", 1})
}

// Goal: no number and no character changes on its way. Method: numbers that a float64 would round,
// through data, a fold, and the types of this program.
func TestExactNumbers(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	const beyond, money = "9007199254740993", "0.10000000000000000000000001"
	text := `{"count": ` + beyond + `, "money": ` + money + `, "name": "Zoë <日本> 🦀", "zero": 1.50}`
	event := eventfold.NewEvent("Counted", json.RawMessage(text))
	_ = must(store.Append(ctx, "count-1", eventfold.Exact(0), several(event)))
	for recorded, err := range store.Read(ctx, "count-1") {
		if err != nil {
			t.Fatal(err)
		}
		if string(recorded.Data) != text {
			t.Errorf("the data came as %s", recorded.Data)
		}
		var data map[string]any
		if err := recorded.Decode(&data); err != nil {
			t.Fatal(err)
		}
		same(t, "data", []any{data["count"], data["money"], data["name"]},
			[]any{json.Number(beyond), json.Number(money), "Zoë <日本> 🦀"})
	}
	fold := eventfold.FoldSource(`
fold: counts
initial: {count: 0, money: 0}
handlers:
  Counted: {count: "state.count + event.count", money: "state.money + event.money"}
`)
	loose := must(eventfold.Hydrate[map[string]any](ctx, store, "count", "1", fold))
	same(t, "any", loose.State,
		map[string]any{"count": json.Number(beyond), "money": json.Number(money)})
	typed := must(eventfold.Hydrate[struct {
		Count int64
		Money json.RawMessage
	}](ctx, store, "count", "1", fold))
	same(t, "int64", typed.State.Count, int64(9007199254740993))
	same(t, "raw", string(typed.State.Money), money)
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	number := eventfold.NewEvent("Counted",
		map[string]any{"count": huge, "money": json.Number("1e-7")})
	_ = must(store.Append(ctx, "count-2", eventfold.Exact(0), several(number)))
	last := collect(t, store.Read(ctx, "count-2"))[0]
	if string(last.Data) != `{"count":123456789012345678901234567890,"money":1e-7}` {
		t.Errorf("the data came as %s", last.Data)
	}
	raw := must(eventfold.Hydrate[json.RawMessage](ctx, store, "count", "1", fold))
	same(t, "the bytes", string(raw.State), string(raw.JSON))
	_, err := eventfold.Hydrate[struct{ Count bool }](ctx, store, "count", "1", fold)
	var mismatch *eventfold.StateMismatchError
	if !errors.As(err, &mismatch) || strings.Contains(err.Error(), "9007") {
		t.Fatalf("found %v", err)
	}
	same(t, "path", mismatch.Path(), "Count")
}

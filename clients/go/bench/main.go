// Bench measures the client on one connection, and prints one JSON object.
//
//	go run -C clients/go ./bench ADDRESS SECONDS
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	eventfold "eventfold.dev/go"
	"github.com/google/uuid"
)

const (
	// Of what is measured, so much goes before it.
	warmUpShare = 5
	// An append of 100 events each fills the streams that are read.
	chunk = 100
)

const fold = `
fold: account
initial: {open: false, owner: null, balance: 0}
handlers:
  AccountOpened: {open: true, owner: "event.owner"}
  MoneyDeposited: {balance: "state.balance + event.amount"}
  MoneyWithdrawn: {balance: "state.balance - event.amount"}
  AccountClosed: {open: false}
`

// account is the state of the fold.
type account struct {
	Open    bool
	Owner   string
	Balance json.Number
}

// deposit is an event of about 200 bytes.
func deposit(n int) eventfold.Event {
	return eventfold.NewEvent("MoneyDeposited", map[string]any{
		"amount": n%100 + 1, "currency": "EUR", "note": strings.Repeat("n", 150),
	})
}

// fill appends so many events to a stream of its own.
func fill(ctx context.Context, store *eventfold.Client, events int) (string, error) {
	id := uuid.NewString()
	for first := 0; first < events; first += chunk {
		batch := make([]eventfold.Event, 0, chunk)
		for n := range min(chunk, events-first) {
			batch = append(batch, deposit(first+n))
		}
		expected := eventfold.Exact(int64(first))
		if _, err := store.Append(ctx, "account-"+id, expected, batch); err != nil {
			return "", err
		}
	}
	return id, nil
}

// measure makes a call for so long, and returns how long each took.
func measure(length time.Duration, call func(n int) error) ([]time.Duration, error) {
	var took []time.Duration
	begins := time.Now().Add(length / warmUpShare)
	ends := begins.Add(length)
	for n := 0; time.Now().Before(ends); n++ {
		began := time.Now()
		if err := call(n); err != nil {
			return nil, err
		}
		if began.After(begins) {
			took = append(took, time.Since(began))
		}
	}
	return took, nil
}

// median is in milliseconds, to the microsecond.
func median(took []time.Duration) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[len(took)/2].Microseconds()) / 1_000
}

func run(ctx context.Context, store *eventfold.Client, length time.Duration) (any, error) {
	id := uuid.NewString()
	took, err := measure(length, func(n int) error {
		if n%chunk == 0 {
			id = uuid.NewString()
		}
		expected := eventfold.Exact(int64(n % chunk))
		_, err := store.Append(ctx, "account-"+id, expected, []eventfold.Event{deposit(n)})
		return err
	})
	if err != nil {
		return nil, err
	}
	total := time.Duration(0)
	for _, one := range took {
		total += one
	}
	result := map[string]any{
		"client":       "go",
		"append_per_s": math.Round(float64(len(took))/total.Seconds()*10) / 10,
	}
	for _, events := range []int{100, 1_000} {
		id, err := fill(ctx, store, events)
		if err != nil {
			return nil, err
		}
		reads, err := measure(length, func(int) error { return read(ctx, store, id, events) })
		if err != nil {
			return nil, err
		}
		folds, err := measure(length, func(int) error { return hydrate(ctx, store, id, events) })
		if err != nil {
			return nil, err
		}
		result[fmt.Sprintf("read_%d_ms", events)] = median(reads)
		result[fmt.Sprintf("hydrate_%d_ms", events)] = median(folds)
	}
	return result, nil
}

func read(ctx context.Context, store *eventfold.Client, id string, events int) error {
	count := 0
	for _, err := range store.Read(ctx, "account-"+id) {
		if err != nil {
			return err
		}
		count++
	}
	if count != events {
		return fmt.Errorf("read %d events, not %d", count, events)
	}
	return nil
}

func hydrate(ctx context.Context, store *eventfold.Client, id string, events int) error {
	source := eventfold.FoldSource(fold)
	found, err := eventfold.Hydrate[account](ctx, store, "account", id, source)
	if err == nil && found.Version != int64(events) {
		err = fmt.Errorf("folded %d events, not %d", found.Version, events)
	}
	return err
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: bench ADDRESS SECONDS")
	}
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil || seconds <= 0 {
		log.Fatalf("%s is no number of seconds", os.Args[2])
	}
	store, err := eventfold.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	length := time.Duration(seconds * float64(time.Second))
	result, err := run(context.Background(), store, length)
	if err != nil {
		log.Fatal(err)
	}
	text, err := json.Marshal(result)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}

package eventfold_test

import (
	"context"
	"encoding/json"
	"runtime/debug"
	"testing"
	"time"

	eventfold "eventfold.dev/go"
	"eventfold.dev/go/internal/servers"
)

// open makes a client that is closed with the test.
func open(t *testing.T, address string, options ...eventfold.Option) *eventfold.Client {
	t.Helper()
	store, err := eventfold.Open(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// onServer makes a client of a server with an empty store.
func onServer(t *testing.T) (context.Context, *eventfold.Client) {
	t.Helper()
	return limited(t), open(t, servers.New(t).Ask("server").Address)
}

// limited is a context that ends a test that hangs.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// must is the value of a call that has to go well; a test that uses it begins with caught.
func must[T any](value T, err error) T {
	if err != nil {
		panic(callFailed{err, string(debug.Stack())})
	}
	return value
}

type callFailed struct {
	err   error
	stack string
}

// caught fails the test if a call failed that had to go well.
func caught(t *testing.T) {
	switch found := recover().(type) {
	case nil:
	case callFailed:
		t.Errorf("%v\n%s", found.err, found.stack)
	default:
		panic(found)
	}
}

// same fails the test unless both are equal as JSON.
func same(t *testing.T, what string, found, wanted any) {
	t.Helper()
	foundText, wantedText := asJSON(t, found), asJSON(t, wanted)
	if foundText != wantedText {
		t.Errorf("%s: found %s, not %s", what, foundText, wantedText)
	}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func collect[T any](t *testing.T, sequence func(func(T, error) bool)) []T {
	t.Helper()
	all := []T{}
	for one, err := range sequence {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

func several(events ...eventfold.Event) []eventfold.Event { return events }

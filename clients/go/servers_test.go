package eventfold_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	eventfold "eventfold.dev/go"
	"github.com/google/uuid"
)

// world asks tests/clients/servers.py for servers; whatever it asked for ends with the test.
type world struct {
	t      *testing.T
	desk   net.Conn
	reader *bufio.Reader
}

type told struct {
	Address   string
	Number    int
	Authority string
	Error     string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	variable := "EVENTFOLD_CLIENT_SERVERS"
	address := os.Getenv(variable)
	if address == "" {
		t.Skipf("%s names nobody who hands out servers: run tests/clients/test_go.py", variable)
	}
	desk, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = desk.Close() })
	return &world{t, desk, bufio.NewReader(desk)}
}

func (w *world) ask(words ...any) told {
	w.t.Helper()
	if _, err := fmt.Fprintln(w.desk, words...); err != nil {
		w.t.Fatal(err)
	}
	line, err := w.reader.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	var answer told
	if err := json.Unmarshal([]byte(line), &answer); err != nil {
		w.t.Fatal(err)
	}
	if answer.Error != "" {
		w.t.Fatal(answer.Error)
	}
	return answer
}

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
	return limited(t), open(t, newWorld(t).ask("server").Address)
}

// limited is a context that ends a test that hangs.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func randomID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

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

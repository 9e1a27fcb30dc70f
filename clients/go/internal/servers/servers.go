// Package servers asks tests/clients/servers.py for servers that tests may do any harm.
package servers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"testing"
)

const variable = "EVENTFOLD_CLIENT_SERVERS"

// World is what one test asked for; it ends with the test.
type World struct {
	t      testing.TB
	desk   net.Conn
	reader *bufio.Reader
}

// Told is an answer.
type Told struct {
	Address   string
	Number    int
	Authority string
	Error     string
}

// New connects to who hands out servers; without any, the test is skipped.
func New(t testing.TB) *World {
	t.Helper()
	address := os.Getenv(variable)
	if address == "" {
		t.Skipf("%s names nobody who hands out servers: run tests/clients/test_go.py", variable)
	}
	desk, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = desk.Close() })
	return &World{t, desk, bufio.NewReader(desk)}
}

// Ask sends a line, and returns its answer; one that is an error fails the test.
func (w *World) Ask(words ...any) Told {
	w.t.Helper()
	if _, err := fmt.Fprintln(w.desk, words...); err != nil {
		w.t.Fatal(err)
	}
	line, err := w.reader.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	var answer Told
	if err := json.Unmarshal([]byte(line), &answer); err != nil {
		w.t.Fatal(err)
	}
	if answer.Error != "" {
		w.t.Fatal(answer.Error)
	}
	return answer
}

// Goal: the server does what every conformance case says, over the connection of the Go client.
//
// Method: one subtest a case, against the servers that pytest (test_go.py) starts and hands out.
package conformance

import (
	"context"
	"runtime"
	"strings"
	"testing"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// A fresh store is a server of its own: not more of them start at once than there are cores.
var freshStores = make(chan struct{}, runtime.NumCPU())

func newRunner(t *testing.T) *Runner {
	t.Helper()
	servers := ServersOfEnvironment()
	if servers == nil {
		t.Skipf("%s names nobody who hands out servers: run test_go.py by pytest", ServersVariable)
	}
	reasons, err := LoadReasons("../reasons.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return NewRunner(reasons, servers.Open)
}

// A test is named `TestCases/subject/case`.
func TestCases(t *testing.T) {
	cases, err := LoadFolder("../cases")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("there are no cases")
	}
	runner := newRunner(t)
	bySubject := map[string][]*Case{}
	var subjects []string
	for _, one := range cases {
		if bySubject[one.Subject] == nil {
			subjects = append(subjects, one.Subject)
		}
		bySubject[one.Subject] = append(bySubject[one.Subject], one)
	}
	for _, subject := range subjects {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			for _, one := range bySubject[subject] {
				t.Run(one.Name, func(t *testing.T) {
					t.Parallel()
					if one.Targets()["fresh"] {
						freshStores <- struct{}{}
						defer func() { <-freshStores }()
					}
					if err := runner.Run(one); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// A runner that cannot fail proves nothing.
func TestWrongCasesFail(t *testing.T) {
	cases, err := LoadFile("../wrong.yaml")
	if err != nil {
		t.Fatal(err)
	}
	runner := newRunner(t)
	for _, one := range cases {
		t.Run(one.Name, func(t *testing.T) {
			t.Parallel()
			err := runner.Run(one)
			if err == nil {
				t.Fatalf("passed, and should have said %q", one.Fails)
			}
			if !strings.Contains(err.Error(), one.Fails) {
				t.Errorf("should have said %q, and said: %v", one.Fails, err)
			}
		})
	}
}

// Cases make their calls by descriptors; programs make them by the stubs of the client.
func TestTheStubsCallTheServer(t *testing.T) {
	servers := ServersOfEnvironment()
	if servers == nil {
		t.Skipf("%s names nobody who hands out servers", ServersVariable)
	}
	client, closing, err := servers.Open("shared")
	if err != nil {
		t.Fatal(err)
	}
	defer closing()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	store := client.Stubs().EventStore
	stream := "stubs-" + randomUUID()
	appended, err := store.Append(ctx, &eventfoldv1.AppendRequest{
		Stream: stream,
		ExpectedVersion: &eventfoldv1.ExpectedVersion{
			Kind: &eventfoldv1.ExpectedVersion_Exact{Exact: 0},
		},
		Events: []*eventfoldv1.NewEvent{{Type: "Greeted", Data: []byte(`{"by":"Ada"}`)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := store.Read(ctx, &eventfoldv1.ReadRequest{Stream: stream})
	if err != nil {
		t.Fatal(err)
	}
	page, err := pages.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Events) != 1 || page.Events[0].Position != appended.Positions[0] {
		t.Errorf("appended at %v, and read %v", appended.Positions, page.Events)
	}
}

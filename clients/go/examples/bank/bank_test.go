package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	eventfold "eventfold.dev/go"
	"eventfold.dev/go/internal/servers"
)

// Goal: decisions hold without a store.
func TestDecisions(t *testing.T) {
	open := Account{Open: true, Balance: "0.3"}
	for amount, isGiven := range map[json.Number]bool{
		"0.3": true, "0.30": true, "0.31": false, "0": false,
	} {
		events, err := Withdrawal(amount)(open)
		var refused Refused
		if isGiven != (len(events) == 1) || isGiven == errors.As(err, &refused) {
			t.Errorf("%s of 0.3: %v, %v", amount, events, err)
		}
	}
	if _, err := Deposit("1")(Account{}); err == nil {
		t.Error("an account that is not open takes money")
	}
}

// Goal: in the first race both get their money, in the second the one that comes late finds too
// little, and nobody decides on an old state.
func TestRace(t *testing.T) {
	world := servers.New(t)
	store, err := eventfold.Open(world.Ask("server").Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	fold, err := eventfold.FoldFile("../../../../examples/bank/account.fold.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var telling sync.Mutex
	bank := &Bank{store, fold, func(format string, values ...any) {
		telling.Lock()
		defer telling.Unlock()
		lines = append(lines, fmt.Sprintf(format, values...))
	}}
	if err := bank.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := strings.Join(lines, "\n")
	for _, line := range []string{
		"  2 of 2 succeeded after 3 decisions; the balance is 40",
		"  1 of 2 succeeded after 3 decisions; the balance is 14.5",
		"gets nothing: the balance is 14.5, which is less than 25.50",
		"  5  MoneyWithdrawn  {\"amount\":25.50}",
	} {
		if !strings.Contains(told, line) {
			t.Errorf("%q is missing in\n%s", line, told)
		}
	}
}

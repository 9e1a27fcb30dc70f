package main

import (
	"encoding/json"
	"fmt"
	"math/big"

	eventfold "eventfold.dev/go"
)

const category = "account"

// Account is the state that decisions need, as account.fold.yaml makes it.
type Account struct {
	Open    bool        `json:"open"`
	Owner   string      `json:"owner"`
	Balance json.Number `json:"balance"`
}

// Decision leads from a state to events, or a refusal. It needs no store to be tested.
type Decision func(Account) ([]eventfold.Event, error)

// Refused: the rules of the bank forbid it.
type Refused string

func (r Refused) Error() string { return string(r) }

// Opening opens the account; one that is open stays as it is.
func Opening(owner string) Decision {
	return func(state Account) ([]eventfold.Event, error) {
		if state.Open {
			return nil, nil
		}
		return one("AccountOpened", map[string]string{"owner": owner}), nil
	}
}

// Deposit puts money in.
func Deposit(amount json.Number) Decision {
	return func(state Account) ([]eventfold.Event, error) {
		if err := check(state, amount); err != nil {
			return nil, err
		}
		return one("MoneyDeposited", map[string]json.Number{"amount": amount}), nil
	}
}

// Withdrawal takes money out, if the balance allows it.
func Withdrawal(amount json.Number) Decision {
	return func(state Account) ([]eventfold.Event, error) {
		if err := check(state, amount); err != nil {
			return nil, err
		}
		if exact(amount).Cmp(exact(state.Balance)) > 0 {
			return nil, Refused(fmt.Sprintf("the balance is %s, which is less than %s",
				state.Balance, amount))
		}
		return one("MoneyWithdrawn", map[string]json.Number{"amount": amount}), nil
	}
}

func one(eventType string, data any) []eventfold.Event {
	return []eventfold.Event{eventfold.NewEvent(eventType, data)}
}

func check(state Account, amount json.Number) error {
	if !state.Open {
		return Refused("the account is not open")
	}
	if exact(amount).Sign() <= 0 {
		return Refused(fmt.Sprintf("an amount is above 0, not %s", amount))
	}
	return nil
}

// exact is the number without rounding; cents do not pass through a float64.
func exact(number json.Number) *big.Rat {
	rational, ok := new(big.Rat).SetString(number.String())
	if !ok {
		return new(big.Rat)
	}
	return rational
}

package eventfold_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	eventfold "eventfold.dev/go"
)

func ExampleOpen() {
	store, err := eventfold.Open("db.example:4141",
		eventfold.WithTLS(nil), eventfold.WithToken(os.Getenv("EVENTFOLD_TOKEN")))
	if errors.Is(err, eventfold.ErrInvalidValue) {
		fmt.Println("there is no token")
		return
	}
	defer func() { _ = store.Close() }()
}

func ExampleOpen_insecure() {
	_, err := eventfold.Open("db.example:4141", eventfold.WithToken("secret"))
	fmt.Println(errors.Is(err, eventfold.ErrInsecureConnection))
	// Output: true
}

// As Open makes it; examples without a server are compiled, and not run.
var (
	store *eventfold.Client
	ctx   = context.Background()
)

func ExampleClient_Append() {
	deposit := eventfold.NewEvent("MoneyDeposited", map[string]json.Number{"amount": "9.95"})
	_, err := store.Append(ctx, "account-1", eventfold.Exact(3), []eventfold.Event{deposit})
	var conflict *eventfold.VersionConflictError
	if errors.As(err, &conflict) {
		log.Printf("the account is at %d", conflict.Actual())
	}
}

func ExampleHydrate() {
	type Account struct{ Balance json.Number }
	fold := eventfold.FoldName("account")
	account, err := eventfold.Hydrate[Account](ctx, store, "account", "1", fold)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(account.Version, account.State.Balance)
}

func ExampleRetry() {
	type Account struct{ Open bool }
	closing := func(state Account) ([]eventfold.Event, error) {
		if !state.Open {
			return nil, nil // Nothing is appended.
		}
		return []eventfold.Event{eventfold.NewEvent("AccountClosed", nil)}, nil
	}
	fold := eventfold.FoldName("account")
	if _, err := eventfold.Retry(ctx, store, "account", "1", fold, closing); err != nil {
		log.Fatal(err)
	}
}

func ExampleReadAggregate() {
	handlers := eventfold.Handlers[int]{
		On: map[string]func(int, *eventfold.RecordedEvent) (int, error){
			"MoneyDeposited": func(deposits int, _ *eventfold.RecordedEvent) (int, error) {
				return deposits + 1, nil
			},
		},
	}
	account, err := eventfold.ReadAggregate(ctx, store, "account", "1", handlers)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(account.State, account.Version)
}

func ExampleClient_Subscribe() {
	var place eventfold.Place // As it was kept the last time.
	sub := store.Subscribe(eventfold.Categories("account"), eventfold.After(place))
	for event, err := range sub.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Position, event.Type)
		place = sub.Place()
	}
}

func ExampleConsumer_Run() {
	err := store.Consume("mailer").Run(ctx, 8,
		func(_ context.Context, delivery *eventfold.Delivery) error {
			fmt.Println(delivery.Event.Type)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleQuery() {
	type Customer struct{ Name string }
	rows := eventfold.Query[Customer](ctx, store, "customers",
		eventfold.Filter("city == 'Paris'"), eventfold.OrderBy("name"), eventfold.Limit(10))
	for row, err := range rows {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Key, row.Columns.Name)
	}
}

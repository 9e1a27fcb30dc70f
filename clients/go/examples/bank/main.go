// Bank: two writers withdraw at once; one is refused by the version, and decides again.
//
//	make run                                    # in another terminal
//	go run -C clients/go ./examples/bank        # -server HOST:PORT for another one
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"

	eventfold "eventfold.dev/go"
	"github.com/google/uuid"
)

// Bank acts on accounts of a store.
type Bank struct {
	store *eventfold.Client
	fold  eventfold.Fold
	say   func(format string, values ...any)
}

// Act reads the account, decides, and appends; again from the start if it has moved.
func (b *Bank) Act(ctx context.Context, id string, decide Decision) error {
	_, err := eventfold.Retry(ctx, b.store, category, id, b.fold, decide)
	return err
}

// Balance is the balance as it is now: folded from the events, on the spot.
func (b *Bank) Balance(ctx context.Context, id string) (json.Number, error) {
	account, err := eventfold.Hydrate[Account](ctx, b.store, category, id, b.fold)
	if err != nil {
		return "", err
	}
	return account.State.Balance, nil
}

// Race lets Ada and Bo withdraw at the same time, on the same state. It returns how many
// withdrawals succeeded, and how many decisions that took.
func (b *Bank) Race(
	ctx context.Context, id string, amount json.Number,
) (succeeded, decisions int, err error) {
	var meeting, racing sync.WaitGroup
	var taken, calls atomic.Int32
	var failed [2]error
	meeting.Add(2)
	for at, name := range []string{"Ada", "Bo"} {
		racing.Add(1)
		go func() {
			defer racing.Done()
			arrive := sync.OnceFunc(meeting.Done)
			// Whoever fails before it decides lets the other one go on.
			defer arrive()
			again := ""
			err := b.Act(ctx, id, func(state Account) ([]eventfold.Event, error) {
				calls.Add(1)
				b.say("  %s%s sees a balance of %s", name, again, state.Balance)
				// The first time, only when both have read the same state.
				again = " decides again:"
				arrive()
				meeting.Wait()
				return Withdrawal(amount)(state)
			})
			var refused Refused
			switch {
			case errors.As(err, &refused):
				b.say("  %s gets nothing: %s", name, refused)
			case err != nil:
				failed[at] = err
			default:
				taken.Add(1)
				b.say("  %s has %s", name, amount)
			}
		}()
	}
	racing.Wait()
	return int(taken.Load()), int(calls.Load()), errors.Join(failed[:]...)
}

// Run is the life of an account, on a stream of its own.
func (b *Bank) Run(ctx context.Context) error {
	id := uuid.NewString()
	for _, decide := range []Decision{Opening("u-1"), Deposit("100.00")} {
		if err := b.Act(ctx, id, decide); err != nil {
			return err
		}
	}
	for _, amount := range []json.Number{"30.00", "25.50"} {
		b.say("Both withdraw %s:", amount)
		succeeded, decisions, err := b.Race(ctx, id, amount)
		if err != nil {
			return err
		}
		balance, err := b.Balance(ctx, id)
		if err != nil {
			return err
		}
		b.say("  %d of 2 succeeded after %d decisions; the balance is %s",
			succeeded, decisions, balance)
	}
	b.say("What happened, as it will always be told:")
	for event, err := range b.store.Read(ctx, category+"-"+id) {
		if err != nil {
			return err
		}
		b.say("  %d  %-14s  %s", event.Version, event.Type, event.Data)
	}
	return nil
}

func main() {
	server := os.Getenv("EVENTFOLD_SERVER")
	if server == "" {
		server = "127.0.0.1:4141"
	}
	flag.StringVar(&server, "server", server, "address of the server")
	path := flag.String("fold", "../../examples/bank/account.fold.yaml", "the fold of an account")
	flag.Parse()
	store, err := eventfold.Open(server)
	if err != nil {
		log.Fatal(err)
	}
	fold, err := eventfold.FoldFile(*path)
	if err != nil {
		log.Fatal(err)
	}
	var telling sync.Mutex
	bank := &Bank{store, fold, func(format string, values ...any) {
		telling.Lock()
		defer telling.Unlock()
		fmt.Printf(format+"\n", values...)
	}}
	err = errors.Join(bank.Run(context.Background()), store.Close())
	if err != nil {
		log.Fatal(err)
	}
}

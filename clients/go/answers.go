package eventfold

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// answer is one that comes in many messages, and goes on when the connection breaks.
type answer[M any] struct {
	// open begins a call for what is still to come.
	open func(context.Context) (grpc.ServerStreamingClient[M], error)
	// take takes a message: whether it brought anything new, and whether to go on.
	take func(*M) (isNew, goesOn bool, err error)
	// done is asked at the end of a call, whether all has come.
	done func() (bool, error)
	// beginsAnew: a call that broke begins from the start, and has one deadline for all.
	beginsAnew bool
	// kind says what may be repeated of a call that begins anew; others are reads.
	kind safety
}

// run reads the answer to its end. Without a deadline of the context, that of the client is for the
// time in which nothing new comes.
func (a *answer[M]) run(ctx context.Context, c *Client) error {
	if a.beginsAnew {
		var cancel context.CancelFunc
		ctx, cancel, _ = c.conn.bounded(ctx)
		defer cancel()
	}
	kind := safeRead
	if a.beginsAnew {
		kind = a.kind
	}
	failures, began := 0, time.Now()
	for {
		isNew, isOver, err := a.attempt(ctx, c)
		if isOver {
			return err
		}
		if isNew && !a.beginsAnew {
			failures = 0
		} else {
			failures++
		}
		if err == nil {
			if failures > 0 {
				return unexpectedAnswer(c.conn.target, "the answer stopped before its end", codes.OK)
			}
			continue
		}
		if ctx.Err() == nil && failures == 0 && hasReason(err, ErrDeadlineExceeded) {
			// The deadline of a long answer passes again and again; that is no failure as long as
			// something comes, and the server sees a deadline on every call.
			continue
		}
		pause := retryPause(max(1, failures))
		if failures >= attemptsMax || isLate(ctx, pause) || !isRetryable(err, kind) {
			return err
		}
		if !sleep(ctx, pause) {
			return interrupted(ctx, err, kind, mayBeDone(err), time.Since(began))
		}
	}
}

func (a *answer[M]) attempt(ctx context.Context, c *Client) (isNew, isOver bool, err error) {
	ctx, cancel, _ := c.conn.bounded(ctx)
	defer cancel()
	// Leaving early ends the call.
	ctx, end := context.WithCancel(ctx)
	defer end()
	call, err := a.open(ctx)
	if err != nil {
		return false, false, err
	}
	for {
		message, err := call.Recv()
		if errors.Is(err, io.EOF) {
			isDone, wrong := a.done()
			return isNew, isDone || wrong != nil, wrong
		}
		if err != nil {
			if isDone, _ := a.done(); isDone {
				// All has been read; only the status of the call got lost.
				return isNew, true, nil
			}
			return isNew, false, err
		}
		brought, goesOn, err := a.take(message)
		isNew = isNew || brought
		if err != nil || !goesOn {
			return isNew, true, err
		}
	}
}

// paged goes through the pages of a list; fetch gets the token of a page, and returns the next.
func paged[T any](fetch func(token string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		token := ""
		for {
			items, next, err := fetch(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}

// lastReport reads an answer whose messages tell how far a long work is, to its last message.
func lastReport[M any](
	ctx context.Context, c *Client, kind safety,
	open func(context.Context) (grpc.ServerStreamingClient[M], error), isDone func(*M) bool,
) (*M, error) {
	var last *M
	reports := answer[M]{
		open: open,
		take: func(message *M) (bool, bool, error) {
			last = message
			return true, true, nil
		},
		done:       func() (bool, error) { return last != nil && isDone(last), nil },
		beginsAnew: true,
		kind:       kind,
	}
	if err := reports.run(ctx, c); err != nil {
		return nil, err
	}
	return last, nil
}

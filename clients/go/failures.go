package eventfold

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	attemptsMax   = 5
	backoffFirst  = 50 * time.Millisecond
	backoffMax    = 2 * time.Second
	conflictFirst = 5 * time.Millisecond
	conflictMax   = 250 * time.Millisecond

	errorDomain = "eventfold"
)

// safety says what may be repeated after a failure.
type safety int

const (
	// Repeat only if the server said that nothing was stored.
	safeWrite safety = iota
	// Idempotent by its event ids: repeat also when the outcome is unknown.
	safeAppend
	// Changes nothing: repeat whenever the server or the connection was unavailable.
	safeRead
)

// errorOfStatus is the error of a part of an answer.
func errorOfStatus(told *rpcstatus.Status) error {
	found := status.FromProto(told)
	if err := ofCatalogue(found); err != nil {
		return err
	}
	return &Error{Code: found.Code(), Message: found.Message(), status: found}
}

func ofCatalogue(told *status.Status) error {
	for _, detail := range told.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if ok && info.Domain == errorDomain {
			message := told.Message()
			if message == "" {
				message = told.Code().String()
			}
			var cause error
			if Reason(info.Reason) == ErrDeadlineExceeded {
				// The habit of Go, whichever side the deadline passed on.
				cause = context.DeadlineExceeded
			}
			return typed(&Error{
				Reason: Reason(info.Reason), Code: told.Code(), Message: message,
				Facts: info.Metadata, status: told, cause: cause,
			})
		}
	}
	return nil
}

// errorOfCall is the error of a failed call: that of the catalogue, or one of the connection.
func (c *Conn) errorOfCall(
	ctx context.Context, err error, kind safety, timeout time.Duration,
) error {
	if general(err) != nil {
		return err
	}
	told := status.Convert(err)
	if found := ofCatalogue(told); found != nil {
		return found
	}
	switch told.Code() {
	case codes.DeadlineExceeded:
		return noAnswer(ctx, timeout, kind)
	case codes.Canceled:
		if ctx.Err() != nil {
			return noAnswer(ctx, timeout, kind)
		}
		return connectionFailed(c.target, told.Message())
	case codes.Unavailable:
		// What gRPC says of a peer that answers with something else than HTTP/2.
		if strings.Contains(told.Message(), "error reading server preface: http2:") {
			return unexpectedAnswer(c.target, told.Message(), codes.Unavailable)
		}
		return connectionFailed(c.target, told.Message())
	case codes.Internal:
		// What gRPC says of a text that is no UTF-8; it was not sent.
		if strings.HasPrefix(told.Message(), "grpc: error while marshaling") {
			return invalidValue("", told.Message(), nil)
		}
	case codes.Unauthenticated:
		return refusal(ErrUnauthenticated, told.Code(), told.Message(), nil)
	case codes.PermissionDenied:
		return refusal(ErrPermissionDenied, told.Code(), told.Message(), nil)
	}
	problem := fmt.Sprintf("answered %s without a reason of eventfold: %s",
		told.Code(), told.Message())
	return unexpectedAnswer(c.target, problem, told.Code())
}

// noAnswer is the error of a call whose context ended it. DEADLINE_EXCEEDED of the server means
// "surely not stored", which is not known here.
func noAnswer(ctx context.Context, timeout time.Duration, kind safety) error {
	cause := ctx.Err()
	if cause == nil {
		cause = context.DeadlineExceeded
	}
	isCancelled := errors.Is(cause, context.Canceled)
	text := fmt.Sprintf("no answer within %s", timeout.Round(time.Millisecond))
	if isCancelled {
		text = "the context was cancelled before an answer came"
	}
	if kind != safeRead {
		return typed(&Error{
			Reason: ErrOutcomeUnknown, Code: codes.Unavailable, cause: cause,
			Message: text + "; it may be done or not, and an append may be repeated",
		})
	}
	if isCancelled {
		return &Error{Code: codes.Canceled, Message: text, cause: cause}
	}
	return typed(&Error{
		Reason: ErrDeadlineExceeded, Code: codes.DeadlineExceeded, Message: text, cause: cause,
		Facts: map[string]string{"deadline_ms": strconv.FormatInt(timeout.Milliseconds(), 10)},
	})
}

// interrupted is the error of a call whose context ended in the pause after a failed attempt.
func interrupted(
	ctx context.Context, failure error, kind safety, wasUnsure bool, took time.Duration,
) error {
	if kind == safeRead || wasUnsure {
		return noAnswer(ctx, took, kind)
	}
	// The server said that nothing was done, which is worth more.
	found := general(failure)
	if found == nil {
		return failure
	}
	both := *found
	both.cause = errors.Join(ctx.Err(), found.cause)
	return typed(&both)
}

// clientClosed is the error of a call after Close.
func clientClosed() error {
	return &Error{Code: codes.Canceled, Message: "the client is closed"}
}

// notSent is the error of a call whose context was over before it began.
func notSent(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &Error{
			Code: codes.Canceled, Message: "the context was cancelled; nothing was sent",
			cause: ctx.Err(),
		}
	}
	return typed(&Error{
		Reason: ErrDeadlineExceeded, Code: codes.DeadlineExceeded, cause: ctx.Err(),
		Message: "the deadline had passed before the call; nothing was sent",
	})
}

// general finds the general form of an error; nil: it is none of this package.
func general(err error) *Error {
	var found *Error
	if errors.As(err, &found) {
		return found
	}
	return nil
}

func hasReason(err error, reasons ...Reason) bool {
	found := general(err)
	if found == nil {
		return false
	}
	for _, reason := range reasons {
		if found.Reason == reason {
			return true
		}
	}
	return false
}

// isRetryable says whether the same request may be sent again, and has a chance to succeed.
func isRetryable(err error, kind safety) bool {
	if kind == safeWrite {
		return hasReason(err, ErrStorageUnavailable, ErrShuttingDown)
	}
	found := general(err)
	return found != nil && found.Code == codes.Unavailable && found.Reason != ErrUnexpectedAnswer
}

// mayBeDone says whether the failed attempt may have changed something.
func mayBeDone(err error) bool { return hasReason(err, ErrOutcomeUnknown, ErrConnectionFailed) }

// finalError is the error after the last attempt. "Nothing was stored" of the last attempt says
// nothing about the attempts before it.
func finalError(err error, kind safety, wasUnsure bool) error {
	found := general(err)
	if kind == safeRead || !wasUnsure || found == nil || mayBeDone(err) {
		return err
	}
	switch found.Code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Canceled,
		codes.Internal, codes.Unknown:
		return typed(&Error{
			Reason: ErrOutcomeUnknown, Code: codes.Unavailable, Facts: found.Facts, cause: err,
			Message: fmt.Sprintf("an attempt broke, and its repetition failed with %v; the same "+
				"events may be appended again", err),
		})
	}
	return err
}

// retryPause is how long to wait after so many failures in a row: between half and all of a
// doubling pause, so that clients that failed together do not come back together.
func retryPause(failures int) time.Duration {
	pause := float64(backoffFirst) * math.Pow(2, float64(min(failures-1, 60)))
	return time.Duration(min(pause, float64(backoffMax)) * (0.5 + rand.Float64()/2))
}

// conflictPause is how long to wait before deciding again: any part of a doubling pause.
func conflictPause(conflicts int) time.Duration {
	pause := float64(conflictFirst) * math.Pow(2, float64(min(conflicts, 60)))
	return time.Duration(min(pause, float64(conflictMax)) * rand.Float64())
}

// sleep waits; false: the context was over before.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// isLate says whether the deadline would pass in a pause.
func isLate(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Add(pause).Before(deadline)
}

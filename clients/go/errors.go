package eventfold

import (
	"fmt"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Reason says why a call failed: one of the catalogue, or one that this client finds itself.
// Constants of this type are targets for errors.Is:
//
//	errors.Is(err, eventfold.ErrVersionConflict)
type Reason string

// Error tells the reason, so that it can be a target of errors.Is.
func (r Reason) Error() string { return string(r) }

// The reasons that this client finds itself.
const (
	// ErrInvalidValue: A value that was handed to the client cannot be sent, or one that came
	// cannot be read.
	ErrInvalidValue Reason = "INVALID_VALUE"
	// ErrConnectionFailed: The server cannot be reached, or the connection broke before an answer
	// came. A call that changes something may have been done or not.
	ErrConnectionFailed Reason = "CONNECTION_FAILED"
	// ErrUnexpectedAnswer: What answered does not speak the protocol of eventfold, or speaks
	// another version of it.
	ErrUnexpectedAnswer Reason = "UNEXPECTED_ANSWER"
	// ErrInsecureConnection: A token would travel in plain text to another machine.
	ErrInsecureConnection Reason = "INSECURE_CONNECTION"
	// ErrStateMismatch: A state, or the data of an event, does not fit the type that it was to be
	// decoded into. The message names types, never values.
	ErrStateMismatch Reason = "STATE_MISMATCH"
	// ErrChecksFailed: An append to several streams was refused, and nothing was stored.
	ErrChecksFailed Reason = "CHECKS_FAILED"
)

// Error is the general form of every error of a call. Each reason of the catalogue has a type of
// its own too, with its facts: errors.As finds both, and errors.Is finds the reason.
type Error struct {
	// Reason is empty if the call was cancelled by its context, or what failed gave none.
	Reason Reason
	// Code is the status code of gRPC that goes with the reason, or that came.
	Code codes.Code
	// Message is prose for people; it may change.
	Message string
	// Facts are those of the reason; one that does not apply is missing.
	Facts map[string]string

	status *status.Status
	cause  error
}

// Error tells reason and message.
func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("eventfold: %s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("eventfold: %s: %s", e.Reason, e.Message)
}

// Is says whether the target is the reason of the error.
func (e *Error) Is(target error) bool {
	reason, ok := target.(Reason)
	return ok && reason == e.Reason && reason != ""
}

// Unwrap returns what is behind the error: context.Canceled, context.DeadlineExceeded, an error of
// encoding/json, or nil.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus returns the status as it came, with its details; package status finds it by this.
func (e *Error) GRPCStatus() *status.Status {
	if e.status != nil {
		return e.status
	}
	return status.New(e.Code, e.Message)
}

func (e *Error) text(fact string) string { return e.Facts[fact] }

func (e *Error) number(fact string) int64 {
	number, err := strconv.ParseInt(e.Facts[fact], 10, 64)
	if err != nil {
		return 0
	}
	return number
}

// InvalidValueError is the error of the reason INVALID_VALUE.
type InvalidValueError Error

// Error tells it to people.
func (e *InvalidValueError) Error() string { return (*Error)(e).Error() }

// Unwrap returns the same error in its general form.
func (e *InvalidValueError) Unwrap() error { return (*Error)(e) }

// ConnectionFailedError is the error of the reason CONNECTION_FAILED.
type ConnectionFailedError Error

// Error tells it to people.
func (e *ConnectionFailedError) Error() string { return (*Error)(e).Error() }

// Unwrap returns the same error in its general form.
func (e *ConnectionFailedError) Unwrap() error { return (*Error)(e) }

// Target is the address that was called.
func (e *ConnectionFailedError) Target() string { return (*Error)(e).text("target") }

// UnexpectedAnswerError is the error of the reason UNEXPECTED_ANSWER. Its code is the one that
// came; codes.Unimplemented from a gRPC server of another kind, or of another version of eventfold.
type UnexpectedAnswerError Error

// Error tells it to people.
func (e *UnexpectedAnswerError) Error() string { return (*Error)(e).Error() }

// Unwrap returns the same error in its general form.
func (e *UnexpectedAnswerError) Unwrap() error { return (*Error)(e) }

// Target is the address that was called.
func (e *UnexpectedAnswerError) Target() string { return (*Error)(e).text("target") }

// InsecureConnectionError is the error of the reason INSECURE_CONNECTION.
type InsecureConnectionError Error

// Error tells it to people.
func (e *InsecureConnectionError) Error() string { return (*Error)(e).Error() }

// Unwrap returns the same error in its general form.
func (e *InsecureConnectionError) Unwrap() error { return (*Error)(e) }

// Target is the address that was to be called.
func (e *InsecureConnectionError) Target() string { return (*Error)(e).text("target") }

// StateMismatchError is the error of the reason STATE_MISMATCH.
type StateMismatchError Error

// Error tells it to people.
func (e *StateMismatchError) Error() string { return (*Error)(e).Error() }

// Unwrap returns the same error in its general form.
func (e *StateMismatchError) Unwrap() error { return (*Error)(e) }

// Model is the name of the type.
func (e *StateMismatchError) Model() string { return (*Error)(e).text("model") }

// Path is where the fault is, by the names of the type, such as `Items.Price`; empty: the whole
// state, or not known.
func (e *StateMismatchError) Path() string { return (*Error)(e).text("path") }

// ChecksFailedError is the error of the reason CHECKS_FAILED.
type ChecksFailedError struct {
	// Failed lists every demand that was not met: appends before checks, each in the order of the
	// request.
	Failed []FailedCheck

	base *Error
}

// Error tells it to people.
func (e *ChecksFailedError) Error() string { return e.base.Error() }

// Unwrap returns the same error in its general form, and what was wrong with each stream.
func (e *ChecksFailedError) Unwrap() []error {
	all := []error{e.base}
	for _, failed := range e.Failed {
		all = append(all, failed.Err)
	}
	return all
}

// FailedCheck is a demand on one stream that the store did not meet.
type FailedCheck struct {
	// Stream is its name.
	Stream string
	// ActualVersion is the version at which it is.
	ActualVersion int64
	// Err says why, as Append would have: a *VersionConflictError, and so on.
	Err error
	// AppendIndex is its place among the appends, from 0; -1: it is one of the checks.
	AppendIndex int
	// CheckIndex is its place among the checks, from 0; -1: it is one of the appends.
	CheckIndex int
}

func checksFailed(failed []FailedCheck) *ChecksFailedError {
	text := "the server does not say why"
	if len(failed) > 0 {
		text = failed[0].Err.Error()
	}
	if len(failed) > 1 {
		text = fmt.Sprintf("%s, and %d more", text, len(failed)-1)
	}
	facts := map[string]string{"failed": strconv.Itoa(len(failed))}
	base := &Error{Reason: ErrChecksFailed, Code: codes.Aborted, Message: text, Facts: facts}
	return &ChecksFailedError{Failed: failed, base: base}
}

func invalidValue(path, problem string, cause error) error {
	return (*InvalidValueError)(&Error{
		Reason: ErrInvalidValue, Code: codes.InvalidArgument, Message: problem, cause: cause,
		Facts: map[string]string{"path": path, "problem": problem},
	})
}

func connectionFailed(target, problem string) error {
	return (*ConnectionFailedError)(&Error{
		Reason: ErrConnectionFailed, Code: codes.Unavailable, Message: target + ": " + problem,
		Facts: map[string]string{"target": target},
	})
}

func unexpectedAnswer(target, problem string, code codes.Code) error {
	return (*UnexpectedAnswerError)(&Error{
		Reason: ErrUnexpectedAnswer, Code: code, Message: target + ": " + problem,
		Facts: map[string]string{"target": target},
	})
}

// refusal is an error of the catalogue that this client finds itself.
func refusal(reason Reason, code codes.Code, message string, facts map[string]string) error {
	return typed(&Error{Reason: reason, Code: code, Message: message, Facts: facts})
}

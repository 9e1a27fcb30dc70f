package conformance

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	eventfold "eventfold.dev/go"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	problemsShownMax = 10
	eventuallyPause  = 50 * time.Millisecond
)

// Runner runs cases against servers that are running already.
type Runner struct {
	reasons map[string]Reason
	open    Opener
}

// Opener opens a client of `shared` or `tokens`, or for `fresh` to a store that nobody has
// used yet; close gives the server back.
type Opener func(target string) (client *eventfold.Client, close func(), err error)

// NewRunner makes a runner with the catalogue of errors.
func NewRunner(reasons map[string]Reason, open Opener) *Runner { return &Runner{reasons, open} }

// Run runs all steps; the error is that of the first that goes wrong.
func (r *Runner) Run(c *Case) error {
	conns := map[string]*eventfold.Conn{}
	for target := range c.Targets() {
		client, closing, err := r.open(target)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		defer closing()
		conns[target] = client.Conn()
	}
	variables, err := NewVariables(c.Texts)
	if err != nil {
		return err
	}
	for index, step := range c.Steps {
		repetitions := 1
		if repeat, ok := step["repeat"]; ok {
			if repetitions, err = integerOf(repeat); err != nil {
				return err
			}
		}
		for repetition := range repetitions {
			variables.Set("n", repetition)
			if err := r.inTime(step, conns[c.target(step)], variables); err != nil {
				return fmt.Errorf("%s, step %d (%v): %w", c.ID(), index+1, step["call"], err)
			}
		}
	}
	return nil
}

// inTime runs a step, again and again if it says that it need not go well at once.
func (r *Runner) inTime(step object, conn *eventfold.Conn, v *Variables) error {
	seconds := 0
	if written, ok := step["eventually"]; ok {
		var err error
		if seconds, err = integerOf(written); err != nil {
			return err
		}
	}
	ends := time.Now().Add(time.Duration(seconds) * time.Second)
	for {
		err := r.step(step, conn, v)
		var wrongCase *CaseError
		if err == nil || errors.As(err, &wrongCase) || !time.Now().Before(ends) {
			return err
		}
		time.Sleep(eventuallyPause)
	}
}

func (r *Runner) step(step object, conn *eventfold.Conn, v *Variables) error {
	called, err := method(textOf(step["call"]))
	if err != nil {
		return err
	}
	outcome, err := r.calling(step, called, conn, v)
	if err != nil {
		return err
	}
	// What a step demands may name what its own conversation saved.
	if written, ok := step["error"]; ok {
		expected, err := Expand(written, v)
		if err != nil {
			return err
		}
		return checkError(expected.(object), outcome)
	}
	if outcome.Reason != "" {
		return fmt.Errorf("refused: %s %s %s",
			outcome.Reason, compact(outcome.Facts), outcome.Message)
	}
	if written, ok := step["expect"]; ok {
		expected, err := Expand(written, v)
		if err != nil {
			return err
		}
		if problems := Differences(expected, outcome.Answer, ""); len(problems) > 0 {
			return differing("the answer differs", problems[:min(problemsShownMax, len(problems))])
		}
	}
	saved, _ := step["save"].(object)
	return save(saved, outcome.Answer, v)
}

// calling makes the call of a step.
func (r *Runner) calling(
	step object, called protoreflect.MethodDescriptor, conn *eventfold.Conn, v *Variables,
) (*Outcome, error) {
	headers, err := Expand(step["metadata"], v)
	if err != nil {
		return nil, err
	}
	stopAt, err := Expand(step["stop_at"], v)
	if err != nil {
		return nil, err
	}
	turns, conversing := step["conversation"].([]any)
	var requests [][]byte
	if !conversing {
		if requests, err = requestsOf(step, called, v); err != nil {
			return nil, err
		}
		if len(requests) != 1 && !called.IsStreamingClient() {
			return nil, caseError("%s takes one request", called.Name())
		}
	}
	named, _ := headers.(object)
	begun, err := r.begin(conn, called, named)
	defer begun.cancel()
	if err == nil {
		if conversing {
			err = begun.converse(turns, v)
		} else {
			err = begun.make(requests, stopAt)
		}
	}
	return begun.outcome(err)
}

func save(names object, answer any, v *Variables) error {
	for name, path := range names {
		value, err := at(answer, textOf(path))
		if err != nil {
			return err
		}
		v.Set(name, value)
	}
	return nil
}

func requestsOf(
	step object, called protoreflect.MethodDescriptor, v *Variables,
) ([][]byte, error) {
	if digits, ok := step["request_hex"]; ok {
		data, err := hex.DecodeString(textOf(digits))
		if err != nil {
			return nil, caseError("request_hex: %v", err)
		}
		return [][]byte{data}, nil
	}
	written, ok := step["requests"].([]any)
	if !ok {
		written = []any{object{}}
		if request, ok := step["request"]; ok {
			written[0] = request
		}
	}
	requests := make([][]byte, 0, len(written))
	for _, request := range written {
		data, err := encoded(called, request, v)
		if err != nil {
			return nil, err
		}
		requests = append(requests, data)
	}
	return requests, nil
}

func checkError(expected object, outcome *Outcome) error {
	if outcome.Reason == "" {
		return fmt.Errorf("expected %s, got an answer: %s",
			textOf(expected["reason"]), shown(outcome.Answer))
	}
	problems := Differences(expected["reason"], outcome.Reason, "reason")
	if facts, ok := expected["facts"]; ok {
		problems = append(problems, Differences(facts, outcome.Facts, "facts")...)
	}
	hidden, _ := listOf(expected["hidden"])
	for _, text := range hidden {
		if outcome.tells(textOf(text)) {
			problems = append(problems, fmt.Sprintf("'%s' must not stand in the error", text))
		}
	}
	if sent, ok := expected["sent"]; ok {
		problems = append(problems, Differences(sent, outcome.Answer, "sent")...)
	}
	if len(problems) == 0 {
		return nil
	}
	return differing("the error differs", append(problems,
		fmt.Sprintf("it was %s %s: %s", outcome.Reason, compact(outcome.Facts), outcome.Message)))
}

// tells whether the text stands in the message or in a fact.
func (o *Outcome) tells(text string) bool {
	for _, fact := range o.Facts {
		if strings.Contains(textOf(fact), text) {
			return true
		}
	}
	return strings.Contains(o.Message, text)
}

func differing(what string, problems []string) error {
	return errors.New(what + "\n  " + strings.Join(problems, "\n  "))
}

// at finds a value of the answer by names of fields and indexes of lists.
func at(answer any, path string) (any, error) {
	found := answer
	for _, part := range strings.Split(path, ".") {
		missing := fmt.Errorf("the answer has no %s to save", path)
		switch inner := found.(type) {
		case object:
			value, ok := inner[part]
			if !ok {
				return nil, missing
			}
			found = value
		case []any:
			index, err := strconv.Atoi(part)
			if err != nil || index < 0 || index >= len(inner) {
				return nil, missing
			}
			found = inner[index]
		default:
			return nil, missing
		}
	}
	return found, nil
}

package conformance

import (
	"fmt"
	"slices"

	eventfold "eventfold.dev/go"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const detailsBytesMax = 4096

// failure reads what the client tells of a call that failed, and the status that came, and checks
// what is true of every error. gRPC keeps a status only if its code is that of the call, and then
// shows no other message.
func (r *Runner) failure(err *eventfold.Error) (*Outcome, error) {
	came := err.GRPCStatus().Proto()
	if len(came.GetDetails()) == 0 {
		return nil, fmt.Errorf("an error without details: %v", err)
	}
	outcome, wrong := r.told(came)
	if wrong != nil {
		return nil, wrong
	}
	facts := object{}
	for name, value := range err.Facts {
		facts[name] = value
	}
	if string(err.Reason) != outcome.Reason || compact(facts) != compact(outcome.Facts) ||
		err.Message != outcome.Message || uint32(err.Code) != uint32(came.Code) {
		return nil, fmt.Errorf("the client makes %v %s of %s", err, compact(facts), describe(came))
	}
	return outcome, nil
}

// told says what a status says; checks what is true of every error, wherever it stands.
func (r *Runner) told(status *rpcstatus.Status) (*Outcome, error) {
	told := describe(status)
	if size := proto.Size(status); size > detailsBytesMax {
		return nil, fmt.Errorf("a status of %d bytes: %s", size, told)
	}
	info := &errdetails.ErrorInfo{}
	if len(status.Details) != 1 || status.Details[0].UnmarshalTo(info) != nil {
		return nil, fmt.Errorf("details that are not one ErrorInfo: %s", told)
	}
	known, ok := r.reasons[info.Reason]
	if info.Domain != "eventfold" || !ok {
		return nil, fmt.Errorf("a reason outside the catalogue: %s %s", info.Domain, info.Reason)
	}
	if code.Code(status.Code).String() != known.Code {
		return nil, fmt.Errorf("%s goes with %s: %s", info.Reason, known.Code, told)
	}
	facts := object{}
	for name, value := range info.Metadata {
		if !slices.Contains(known.Facts, name) {
			return nil, fmt.Errorf("a fact of %s outside the catalogue: %s", info.Reason, name)
		}
		facts[name] = value
	}
	if status.Message == "" {
		return nil, fmt.Errorf("the status has no message: %s", told)
	}
	return &Outcome{Reason: info.Reason, Facts: facts, Message: status.Message}, nil
}

func describe(status *rpcstatus.Status) string {
	return fmt.Sprintf("%s: %s", code.Code(status.GetCode()), status.GetMessage())
}

// withErrors returns the value with each `google.rpc.Status` in it checked, and as cases see it.
func (r *Runner) withErrors(value any) (any, error) {
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			checked, err := r.withErrors(item)
			if err != nil {
				return nil, err
			}
			value[i] = checked
		}
	case object:
		if isStatus(value) {
			return r.statusInside(value)
		}
		for key, item := range value {
			checked, err := r.withErrors(item)
			if err != nil {
				return nil, err
			}
			value[key] = checked
		}
	}
	return value, nil
}

func isStatus(value object) bool {
	details, _ := value["details"].([]any)
	return slices.ContainsFunc(details, func(item any) bool {
		detail, _ := item.(object)
		_, typed := detail["@type"]
		return typed
	})
}

func (r *Runner) statusInside(value object) (any, error) {
	status := &rpcstatus.Status{}
	if err := protojson.Unmarshal([]byte(compact(value)), status); err != nil {
		return nil, err
	}
	outcome, err := r.told(status)
	if err != nil {
		return nil, err
	}
	told := object{"reason": outcome.Reason, "facts": outcome.Facts, "message": outcome.Message}
	return told, nil
}

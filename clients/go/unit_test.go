package eventfold

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Goal: no call is repeated by mistake. Method: every call of the contract is named as one that may
// be, or has a name that says that it changes something.
func TestEveryCallIsSafeOrAWrite(t *testing.T) {
	known := map[string]bool{}
	writes := []string{
		"Put", "Drop", "Delete", "Erase", "Release", "Rotate", "Readmit", "Create", "Reset",
		"Replay", "Purge", "Rebuild", "Switch", "Retry", "Start", "Cut", "Cancel",
	}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if file.Package() != "eventfold.v1" {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				name := string(service.Methods().Get(j).Name())
				path := "/" + string(service.FullName()) + "/" + name
				known[path] = true
				isWrite := false
				for _, write := range writes {
					isWrite = isWrite || strings.HasPrefix(name, write)
				}
				if _, isSafe := safeties[path]; isSafe == isWrite && name != "RotateMasterKey" {
					t.Errorf("%s: whether it may be repeated is not said", path)
				}
			}
		}
		return true
	})
	for path := range safeties {
		if !known[path] {
			t.Errorf("%s is no call", path)
		}
	}
	if len(known) < 50 {
		t.Errorf("only %d calls were found", len(known))
	}
}

// Goal: an append whose events do not all have ids would be stored again, and is not repeated.
func TestOnlyAppendsWithIDsAreRepeated(t *testing.T) {
	named, unnamed := &eventfoldv1.NewEvent{Id: "a"}, &eventfoldv1.NewEvent{}
	all := []*eventfoldv1.NewEvent{named, unnamed}
	path := eventfoldv1.EventStore_Append_FullMethodName
	for _, one := range []struct {
		request any
		kind    safety
	}{
		{&eventfoldv1.AppendRequest{Events: all[:1]}, safeAppend},
		{&eventfoldv1.AppendRequest{Events: all}, safeWrite},
		{&eventfoldv1.AppendManyRequest{Appends: []*eventfoldv1.StreamAppend{{Events: all}}}, safeWrite},
		{&eventfoldv1.CompensateRequest{}, safeWrite},
		{&eventfoldv1.CompensateRequest{
			Cancellation: &eventfoldv1.Cancellation{Id: "a"}, Correction: unnamed,
		}, safeWrite},
		{&eventfoldv1.CompensateRequest{Cancellation: &eventfoldv1.Cancellation{Id: "a"}}, safeAppend},
	} {
		if kind := safetyOf(path, one.request); kind != one.kind {
			t.Errorf("%v: %d, not %d", one.request, kind, one.kind)
		}
	}
}

// Goal: "nothing was stored" of the last attempt says nothing about those before it.
func TestFinalError(t *testing.T) {
	late := refusal(ErrDeadlineExceeded, codes.DeadlineExceeded, "late", nil)
	conflict := refusal(ErrVersionConflict, codes.Aborted, "moved", nil)
	if err := finalError(late, safeAppend, true); !errors.Is(err, ErrOutcomeUnknown) ||
		!errors.Is(err, ErrDeadlineExceeded) {
		t.Errorf("found %v", err)
	}
	for _, err := range []error{
		finalError(late, safeAppend, false), finalError(late, safeRead, true),
	} {
		if errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("found %v", err)
		}
	}
	if err := finalError(conflict, safeAppend, true); err != conflict {
		t.Errorf("found %v", err)
	}
	broken := connectionFailed("t", "cut")
	if !isRetryable(broken, safeRead) || !isRetryable(broken, safeAppend) ||
		isRetryable(broken, safeWrite) || isRetryable(conflict, safeRead) {
		t.Error("what may be repeated is wrong")
	}
}

// Goal: pauses grow, stay in their limits, and differ.
func TestPauses(t *testing.T) {
	for failures := 1; failures < 2_000; failures++ {
		pause := retryPause(failures)
		if pause < backoffFirst/2 || pause > backoffMax {
			t.Fatalf("after %d failures %s", failures, pause)
		}
		if failures > 7 && pause < backoffMax/2 {
			t.Fatalf("after %d failures %s", failures, pause)
		}
		if pause := conflictPause(failures); pause < 0 || pause > conflictMax {
			t.Fatalf("after %d conflicts %s", failures, pause)
		}
	}
}

// Goal: every type of error tells its reason, is found in both forms, and tells its facts.
func TestEveryReasonHasAType(t *testing.T) {
	for reason, of := range byReason {
		base := &Error{Reason: reason, Code: codes.Internal, Message: "m"}
		err := of(base)
		if !errors.Is(err, reason) || general(err) != base || errors.Is(err, Reason("OTHER")) {
			t.Errorf("%s: %v", reason, err)
		}
		if err.Error() != "eventfold: "+string(reason)+": m" {
			t.Errorf("%s: %v", reason, err)
		}
	}
	unknown := typed(&Error{Reason: "NEWER_THAN_THIS", Message: "m"})
	if _, ok := unknown.(*Error); !ok || !errors.Is(unknown, Reason("NEWER_THAN_THIS")) {
		t.Errorf("found %T", unknown)
	}
	if errors.Is(&Error{}, Reason("")) {
		t.Error("an error without a reason has one")
	}
}

// Goal: what is sent is the JSON that was meant.
func TestEncoding(t *testing.T) {
	for text, value := range map[string]any{
		`{"a":1.50}`:          json.RawMessage(`{"a":1.50}`),
		`{"b": 2}`:            []byte(`{"b": 2}`),
		`{}`:                  nil,
		`{"c":"<&>\u2028日"}`:  map[string]string{"c": "<&>\u2028日"},
		`{"d":0.1,"e":1e400}`: map[string]json.Number{"d": "0.1", "e": "1e400"},
	} {
		found, err := encode(value, "data", []byte("{}"))
		if err != nil || string(found) != text {
			t.Errorf("%s: found %s, %v", text, found, err)
		}
	}
	moment := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	if found := timestamp(moment).AsTime(); found != moment.Truncate(time.Microsecond) {
		t.Errorf("found %s", found)
	}
	if timestamp(time.Time{}) != nil || !timeOf(nil).IsZero() {
		t.Error("no time became one")
	}
}

package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sort"
	"strings"
	"time"

	// Registers the messages and services of the contract too: none is named here, so that a proto
	// that is added needs no line.
	eventfold "eventfold.dev/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

const (
	deadline        = 30 * time.Second
	contractPackage = "eventfold.v1."
)

// Outcome is what a call gave: an answer, or the reason and the facts of an error, and of a stream
// of messages what came before it.
type Outcome struct {
	Answer  any
	Reason  string
	Facts   object
	Message string
}

// method finds `Service.Method` among the registered descriptors.
func method(name string) (protoreflect.MethodDescriptor, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(
		protoreflect.FullName(contractPackage + name))
	if err != nil {
		return nil, caseError("no call is known as %s: %v", name, err)
	}
	described, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, caseError("%s is no call", name)
	}
	return described, nil
}

func newMessage(described protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(described.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}

// encoded returns a request as the case writes it, expanded, as the bytes of its message.
func encoded(
	called protoreflect.MethodDescriptor, written any, v *Variables,
) ([]byte, error) {
	expanded, err := Expand(written, v)
	if err != nil {
		return nil, err
	}
	message, err := newMessage(called.Input())
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal([]byte(compact(expanded)), message); err != nil {
		return nil, caseError("the request is not %s: %v", called.Input().Name(), err)
	}
	return proto.Marshal(message)
}

// bytesOut sends bytes as they are, which need not be a message, and reads messages.
type bytesOut struct{}

func (bytesOut) Name() string { return "proto" }

func (bytesOut) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(value.([]byte))}, nil
}

func (bytesOut) Unmarshal(data mem.BufferSlice, value any) error {
	return proto.Unmarshal(data.Materialize(), value.(proto.Message))
}

// call is one that is under way, and what came so far.
type call struct {
	runner *Runner
	method protoreflect.MethodDescriptor
	stream grpc.ClientStream
	// Ends it, whatever it is doing.
	cancel context.CancelFunc
	parts  []object
}

// begin starts a call. A call that takes one request or answers once is a stream of one message.
func (r *Runner) begin(
	conn *eventfold.Conn, called protoreflect.MethodDescriptor, headers object,
) (*call, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	for name, value := range headers {
		ctx = metadata.AppendToOutgoingContext(ctx, name, textOf(value))
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{
		ServerStreams: called.IsStreamingServer(), ClientStreams: called.IsStreamingClient(),
	}, fmt.Sprintf("/%s/%s", called.Parent().FullName(), called.Name()),
		grpc.ForceCodecV2(bytesOut{}))
	return &call{runner: r, method: called, stream: stream, cancel: cancel}, err
}

// make sends the bytes of requests: one of them, or any number where the method takes a stream.
// Answers are read to their end, or to the first that is as `stopAt` says.
func (c *call) make(requests [][]byte, stopAt any) error {
	// Beside reading: a server that waits for its answers to be read takes no more requests.
	go func() {
		for _, request := range requests {
			if c.stream.SendMsg(request) != nil {
				return // The call is over; reading tells how.
			}
		}
		_ = c.stream.CloseSend()
	}()
	return c.readOn(stopAt)
}

func (c *call) readOn(stopAt any) error {
	for {
		if err := c.receive(); errors.Is(err, io.EOF) && stopAt != nil {
			return fmt.Errorf("the call ended before %s had come", compact(stopAt))
		} else if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		last := c.parts[len(c.parts)-1]
		if !c.method.IsStreamingServer() ||
			stopAt != nil && len(Differences(stopAt, last, "")) == 0 {
			return nil
		}
	}
}

// receive reads one more message; its error is io.EOF at the end of the answers.
func (c *call) receive() error {
	message, err := newMessage(c.method.Output())
	if err != nil {
		return err
	}
	if err := c.stream.RecvMsg(message); err != nil {
		return err
	}
	part, err := c.runner.answer(message)
	c.parts = append(c.parts, part)
	return err
}

// converse sends requests that depend on what came: turns send one, or read until lists of the
// answer are as long as they say. After the last the client says that it has no more.
func (c *call) converse(turns []any, v *Variables) error {
	for _, item := range turns {
		turn, _ := item.(object)
		if written, ok := turn["send"]; ok {
			request, err := encoded(c.method, written, v)
			if err != nil {
				return err
			}
			// If the call is over, reading tells how.
			_ = c.stream.SendMsg(request)
		}
		wanted, _ := turn["receive"].(object)
		if err := c.receiveLists(wanted); err != nil {
			return err
		}
		if saved, ok := turn["save"].(object); ok {
			merged, err := merge(c.method, c.parts, false)
			if err != nil {
				return err
			}
			if err := save(saved, merged, v); err != nil {
				return err
			}
		}
	}
	if err := c.stream.CloseSend(); err != nil {
		return err
	}
	return c.readOn(nil)
}

func (c *call) receiveLists(wanted object) error {
	for name, written := range wanted {
		if field := c.method.Output().Fields().ByName(protoreflect.Name(name)); field == nil ||
			!field.IsList() {
			return caseError("the answer has no list %s to receive", name)
		}
		items, err := integerOf(written)
		if err != nil {
			return err
		}
		for found := 0; found < items; {
			merged, err := merge(c.method, c.parts, false)
			if err != nil {
				return err
			}
			list, _ := listOf(merged[name])
			if found = len(list); found >= items {
				break
			}
			if err := c.receive(); errors.Is(err, io.EOF) {
				return fmt.Errorf("the call ended before %s had come", compact(wanted))
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// outcome tells what the call gave, which ended with this error or none.
func (c *call) outcome(ended error) (*Outcome, error) {
	if ended == nil && !c.method.IsStreamingServer() {
		return &Outcome{Answer: c.parts[0]}, nil
	}
	// An error of the runner itself is none of the client's.
	var told *eventfold.Error
	if ended != nil && !errors.As(ended, &told) {
		return nil, ended
	}
	merged, err := merge(c.method, c.parts, ended == nil)
	if err != nil {
		return nil, err
	}
	if ended == nil {
		return &Outcome{Answer: merged}, nil
	}
	outcome, err := c.runner.failure(told)
	if err != nil {
		return nil, err
	}
	outcome.Answer = merged
	return outcome, nil
}

// answer returns a message as protobuf JSON with the names of the proto.
func (r *Runner) answer(message proto.Message) (object, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("the answer is no protobuf JSON: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value object
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	checked, err := r.withErrors(value)
	if err != nil {
		return nil, err
	}
	return checked.(object), nil
}

// merge makes one answer of all messages of a stream: lists joined, else what the last one says,
// and how many they were. A stream that broke off is not whole: it has no last message.
func merge(
	called protoreflect.MethodDescriptor, parts []object, whole bool,
) (object, error) {
	merged := object{"messages": len(parts)}
	fields := called.Output().Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		if (name == "end" || name == "done") && !marksTheLast(name, parts, whole) {
			return nil, fmt.Errorf("`%s` must stand in the last message, and only there", name)
		}
		if fields.Get(i).IsList() {
			items := []any{}
			for _, part := range parts {
				more, _ := listOf(part[name])
				items = append(items, more...)
			}
			merged[name] = items
		} else if len(parts) > 0 {
			if value, ok := parts[len(parts)-1][name]; ok {
				merged[name] = value
			}
		}
	}
	// Answers of these come in no order that a case could name.
	switch called.Name() {
	case "HydrateMany":
		sortItems(merged["streams"], func(a, b object) bool {
			return textOf(a["stream"]) < textOf(b["stream"])
		})
	case "AppendSession":
		sortItems(merged["answers"], func(a, b object) bool {
			return numberOf(a["number"]).Cmp(numberOf(b["number"])) < 0
		})
	}
	return merged, nil
}

func marksTheLast(mark string, parts []object, whole bool) bool {
	if whole && len(parts) == 0 {
		return false
	}
	for i, part := range parts {
		_, marked := part[mark]
		if marked != (whole && i == len(parts)-1) {
			return false
		}
	}
	return true
}

func sortItems(items any, less func(a, b object) bool) {
	list, _ := listOf(items)
	sort.SliceStable(list, func(i, j int) bool {
		return less(list[i].(object), list[j].(object))
	})
}

// numberOf reads an integer of an answer; one that is missing is 0.
func numberOf(value any) *big.Int {
	number := new(big.Int)
	if value != nil {
		number.SetString(strings.TrimSpace(textOf(value)), 10)
	}
	return number
}

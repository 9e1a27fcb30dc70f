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

	// Registers the messages and services of the contract: none is named here, so that a proto
	// that is added needs no line.
	_ "eventfold.dev/go/eventfold/v1"
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

// encoded returns a request, from protobuf JSON to the bytes of its message.
func encoded(called protoreflect.MethodDescriptor, request any) ([]byte, error) {
	message, err := newMessage(called.Input())
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal([]byte(compact(request)), message); err != nil {
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

// call makes a call with the bytes of requests: one of them, or any number where the method takes a
// stream.
func (r *Runner) call(
	conn *grpc.ClientConn, called protoreflect.MethodDescriptor, requests [][]byte, headers object,
) (*Outcome, error) {
	if len(requests) != 1 && !called.IsStreamingClient() {
		return nil, caseError("%s takes one request", called.Name())
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for name, value := range headers {
		ctx = metadata.AppendToOutgoingContext(ctx, name, textOf(value))
	}
	path := fmt.Sprintf("/%s/%s", called.Parent().FullName(), called.Name())
	messages, failure := exchange(ctx, conn, called, path, requests)
	parts := make([]object, 0, len(messages))
	for _, message := range messages {
		part, err := r.answer(message)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if failure == nil && !called.IsStreamingServer() {
		return &Outcome{Answer: parts[0]}, nil
	}
	merged, err := merge(called, parts, failure == nil)
	if err != nil || failure == nil {
		return &Outcome{Answer: merged}, err
	}
	outcome, err := r.failure(failure)
	if err != nil {
		return nil, err
	}
	outcome.Answer = merged
	return outcome, nil
}

// exchange returns all messages that came, and the error that the call ended with.
func exchange(
	ctx context.Context, conn *grpc.ClientConn, called protoreflect.MethodDescriptor, path string,
	requests [][]byte,
) ([]proto.Message, error) {
	options := grpc.ForceCodecV2(bytesOut{})
	if !called.IsStreamingServer() && !called.IsStreamingClient() {
		message, err := newMessage(called.Output())
		if err == nil {
			err = conn.Invoke(ctx, path, requests[0], message, options)
		}
		if err != nil {
			return nil, err
		}
		return []proto.Message{message}, nil
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{
		ServerStreams: called.IsStreamingServer(), ClientStreams: called.IsStreamingClient(),
	}, path, options)
	if err != nil {
		return nil, err
	}
	// Beside reading: a server that waits for its answers to be read takes no more requests.
	go func() {
		for _, request := range requests {
			if stream.SendMsg(request) != nil {
				return // The call is over; reading tells how.
			}
		}
		_ = stream.CloseSend()
	}()
	var messages []proto.Message
	for {
		message, err := newMessage(called.Output())
		if err != nil {
			return messages, err
		}
		if err := stream.RecvMsg(message); errors.Is(err, io.EOF) {
			return messages, nil
		} else if err != nil {
			return messages, err
		}
		messages = append(messages, message)
		if !called.IsStreamingServer() {
			return messages, nil
		}
	}
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

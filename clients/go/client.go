// Package eventfold is a client of eventfold, a store of events.
//
// A client appends events to streams, reads them, and folds them into states:
//
//	store, err := eventfold.Open("127.0.0.1:4141")
//	...
//	event := eventfold.NewEvent("MoneyDeposited", map[string]any{"amount": 100})
//	_, err = store.Append(ctx, "account-1", eventfold.Exact(0), []eventfold.Event{event})
//
// Calls take a context. One without a deadline gets that of the client, 10 s by default. What was
// unavailable is tried again within the deadline; an append has ids for its events, and is stored
// once however often it is sent.
//
// Every error of a call is an *Error, with a reason of the catalogue (docs/errors.md), and has a
// type of its own too:
//
//	var conflict *eventfold.VersionConflictError
//	if errors.As(err, &conflict) { ... conflict.Actual() ... }
//	if errors.Is(err, eventfold.ErrStreamClosed) { ... }
//
// Calls that generics need are functions: Hydrate, ReadAggregate, Retry, Query, Watch. Everything
// else is a method of Client; what has none is reached by Client.Stubs.
package eventfold

import (
	"google.golang.org/grpc"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// Client is a client of one store. It is safe for use by several goroutines at once, and one is
// enough for a program: its calls share a connection.
type Client struct {
	conn  *Conn
	stubs Stubs
}

// Stubs are the generated clients of all services, over the connection of the client; see Conn.
type Stubs struct {
	EventStore     eventfoldv1.EventStoreClient
	Folds          eventfoldv1.FoldsClient
	Subscriptions  eventfoldv1.SubscriptionsClient
	ConsumerGroups eventfoldv1.ConsumerGroupsClient
	Projections    eventfoldv1.ProjectionsClient
	EventTypes     eventfoldv1.EventTypesClient
	References     eventfoldv1.ReferencesClient
	Transforms     eventfoldv1.TransformsClient
	Privacy        eventfoldv1.PrivacyClient
	Erasures       eventfoldv1.ErasuresClient
	Subjects       eventfoldv1.SubjectsClient
	Keys           eventfoldv1.KeysClient
	Deletion       eventfoldv1.DeletionClient
	Links          eventfoldv1.LinksClient
}

// Open makes a client of the server at a target, `host:port` or another form of gRPC's targets. It
// does not connect: the first call does.
//
// Errors: ErrInsecureConnection, ErrInvalidValue.
func Open(target string, options ...Option) (*Client, error) {
	settings, err := newSettings(target, options)
	if err != nil {
		return nil, err
	}
	inner, err := grpc.NewClient(target, settings.dialOptions()...)
	if err != nil {
		return nil, invalidValue("target", err.Error(), err)
	}
	conn := &Conn{inner: inner, target: target, timeout: settings.timeout}
	return &Client{conn: conn, stubs: Stubs{
		EventStore:     eventfoldv1.NewEventStoreClient(conn),
		Folds:          eventfoldv1.NewFoldsClient(conn),
		Subscriptions:  eventfoldv1.NewSubscriptionsClient(conn),
		ConsumerGroups: eventfoldv1.NewConsumerGroupsClient(conn),
		Projections:    eventfoldv1.NewProjectionsClient(conn),
		EventTypes:     eventfoldv1.NewEventTypesClient(conn),
		References:     eventfoldv1.NewReferencesClient(conn),
		Transforms:     eventfoldv1.NewTransformsClient(conn),
		Privacy:        eventfoldv1.NewPrivacyClient(conn),
		Erasures:       eventfoldv1.NewErasuresClient(conn),
		Subjects:       eventfoldv1.NewSubjectsClient(conn),
		Keys:           eventfoldv1.NewKeysClient(conn),
		Deletion:       eventfoldv1.NewDeletionClient(conn),
		Links:          eventfoldv1.NewLinksClient(conn),
	}}, nil
}

// Close ends the connection. Calls under way fail.
func (c *Client) Close() error { return c.conn.inner.Close() }

// Conn returns the connection, for generated stubs.
func (c *Client) Conn() *Conn { return c.conn }

// Stubs returns the generated clients of all services: event types, schemas, mappings, references
// and transforms have no other way in this package.
func (c *Client) Stubs() Stubs { return c.stubs }

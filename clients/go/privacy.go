package eventfold

import (
	"context"
	"iter"

	"google.golang.org/grpc"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// PrivacyRules say which values of an event type, or of a category, are personal.
type PrivacyRules = eventfoldv1.PrivacyRules

// PrivacyRulesOf names the rules of an event type or of a category: RulesOfType, RulesOfCategory.
type PrivacyRulesOf struct{ eventType, category string }

// RulesOfType names the rules of an event type.
func RulesOfType(eventType string) PrivacyRulesOf { return PrivacyRulesOf{eventType: eventType} }

// RulesOfCategory names the rules of a category.
func RulesOfCategory(category string) PrivacyRulesOf { return PrivacyRulesOf{category: category} }

// PutRulesOption is a choice of PutPrivacyRules: LeavePlaintext, Undeclare.
type PutRulesOption func(*eventfoldv1.PutPrivacyRulesRequest)

// LeavePlaintext leaves values as they are that are stored in plain text already. Default: they are
// a refusal.
func LeavePlaintext() PutRulesOption {
	return func(r *eventfoldv1.PutPrivacyRulesRequest) {
		r.Existing = eventfoldv1.ExistingValues_EXISTING_VALUES_PLAINTEXT
	}
}

// Undeclare lets the rules leave out what was personal before.
func Undeclare() PutRulesOption {
	return func(r *eventfoldv1.PutPrivacyRulesRequest) { r.Undeclare = true }
}

// PutPrivacyRules declares which values are personal, by a document, after a look at what is
// stored. The answer has the rules, and warnings.
//
// Errors: ErrInvalidPrivacyRules, ErrPlaintextStored, ErrPrivacyDeclaredTwice,
// ErrPersonalUndeclared, ErrPrivacyRulesTooLarge, ErrKeysNotConfigured.
func (c *Client) PutPrivacyRules(
	ctx context.Context, source string, options ...PutRulesOption,
) (*eventfoldv1.PutPrivacyRulesResponse, error) {
	type response = eventfoldv1.PutPrivacyRulesResponse
	request := &eventfoldv1.PutPrivacyRulesRequest{Source: source}
	for _, option := range options {
		option(request)
	}
	return lastReport(ctx, c, safeWrite,
		func(ctx context.Context) (grpc.ServerStreamingClient[response], error) {
			return c.stubs.Privacy.PutPrivacyRules(ctx, request)
		}, (*response).GetDone)
}

// CheckPrivacyRules says what PutPrivacyRules would find, and stores nothing. Its `Refused` is the
// refusal.
//
// Errors: ErrInvalidPrivacyRules, ErrPrivacyRulesTooLarge.
func (c *Client) CheckPrivacyRules(
	ctx context.Context, source string,
) (*eventfoldv1.CheckPrivacyRulesResponse, error) {
	type response = eventfoldv1.CheckPrivacyRulesResponse
	request := &eventfoldv1.CheckPrivacyRulesRequest{Source: source}
	return lastReport(ctx, c, safeRead,
		func(ctx context.Context) (grpc.ServerStreamingClient[response], error) {
			return c.stubs.Privacy.CheckPrivacyRules(ctx, request)
		}, (*response).GetDone)
}

// GetPrivacyRules returns rules; revision 0: the newest.
//
// Errors: ErrPrivacyRulesNotFound.
func (c *Client) GetPrivacyRules(
	ctx context.Context, of PrivacyRulesOf, revision int32,
) (*PrivacyRules, error) {
	request := &eventfoldv1.GetPrivacyRulesRequest{Revision: revision}
	if of.eventType != "" {
		request.Of = &eventfoldv1.GetPrivacyRulesRequest_EventType{EventType: of.eventType}
	} else {
		request.Of = &eventfoldv1.GetPrivacyRulesRequest_Category{Category: of.category}
	}
	answer, err := c.stubs.Privacy.GetPrivacyRules(ctx, request)
	return answer.GetRules(), err
}

// ListPrivacyRules lists the rules that there are.
func (c *Client) ListPrivacyRules(ctx context.Context) iter.Seq2[*PrivacyRules, error] {
	return paged(func(token string) ([]*PrivacyRules, string, error) {
		request := &eventfoldv1.ListPrivacyRulesRequest{PageToken: token}
		answer, err := c.stubs.Privacy.ListPrivacyRules(ctx, request)
		return answer.GetRules(), answer.GetNextPageToken(), err
	})
}

// DropPrivacyRules drops rules. What is sealed stays sealed.
//
// Errors: ErrPrivacyRulesNotFound.
func (c *Client) DropPrivacyRules(ctx context.Context, of PrivacyRulesOf) error {
	request := &eventfoldv1.DropPrivacyRulesRequest{}
	if of.eventType != "" {
		request.Of = &eventfoldv1.DropPrivacyRulesRequest_EventType{EventType: of.eventType}
	} else {
		request.Of = &eventfoldv1.DropPrivacyRulesRequest_Category{Category: of.category}
	}
	_, err := c.stubs.Privacy.DropPrivacyRules(ctx, request)
	return err
}

// SubjectEvents counts the events of a type in a stream that hold values of a subject.
type SubjectEvents = eventfoldv1.SubjectEvents

// Subject is a person whose values are sealed.
type Subject = eventfoldv1.Subject

// FoundSubject is what FindSubject found.
type FoundSubject struct {
	// Subject is the subject.
	Subject *Subject
	// Events are where its values are, of all pages.
	Events []*SubjectEvents
	// Position up to which events were looked at.
	Position int64
}

// FindSubject tells where the values of a subject are.
//
// Errors: ErrSubjectNotFound, ErrSubjectIndexBehind, ErrKeysNotConfigured.
func (c *Client) FindSubject(ctx context.Context, subject string) (*FoundSubject, error) {
	found := &FoundSubject{}
	request := &eventfoldv1.FindSubjectRequest{Subject: subject}
	for {
		answer, err := c.stubs.Subjects.FindSubject(ctx, request)
		if err != nil {
			return nil, err
		}
		found.Subject, found.Position = answer.Subject, answer.Position
		found.Events = append(found.Events, answer.Events...)
		if answer.NextPageToken == "" {
			return found, nil
		}
		request.PageToken = answer.NextPageToken
	}
}

// ExportOption is a choice of ExportSubject: ExportLinked, ExportRaw, ExportSchemas.
type ExportOption func(*exportSettings)

type exportSettings struct {
	request *eventfoldv1.ExportSubjectRequest
	schemas func(*eventfoldv1.ExportedSchema)
	// The event types whose schemas were told: a call that broke and goes on brings them again.
	told map[string]bool
}

func (s *exportSettings) tell(schemas []*eventfoldv1.ExportedSchema) {
	for _, schema := range schemas {
		if s.schemas != nil && !s.told[schema.EventType] {
			s.told[schema.EventType] = true
			s.schemas(schema)
		}
	}
}

// ExportLinked also exports streams that belong to those of the subject.
func ExportLinked() ExportOption { return func(s *exportSettings) { s.request.Linked = true } }

// ExportRaw exports data as it is stored, without the mappings in force.
func ExportRaw() ExportOption { return func(s *exportSettings) { s.request.Raw = true } }

// ExportSchemas is called with the schemas of the events: each once, before the first event of its
// type.
func ExportSchemas(take func(*eventfoldv1.ExportedSchema)) ExportOption {
	return func(s *exportSettings) { s.schemas = take }
}

// ExportSubject gives all events that hold values of a subject, in order of position. When the
// connection breaks, it goes on behind the last event that came.
//
// Errors: ErrSubjectNotFound, ErrSubjectNotActive, ErrSubjectIndexBehind, ErrExportTooLarge,
// ErrKeysNotConfigured.
func (c *Client) ExportSubject(
	ctx context.Context, subject string, options ...ExportOption,
) iter.Seq2[*RecordedEvent, error] {
	type response = eventfoldv1.ExportSubjectResponse
	settings := &exportSettings{request: &eventfoldv1.ExportSubjectRequest{Subject: subject}}
	for _, option := range options {
		option(settings)
	}
	return func(yield func(*RecordedEvent, error) bool) {
		settings.told = map[string]bool{}
		position, hasEnded := settings.request.AfterPosition, false
		exporting := answer[response]{
			open: func(ctx context.Context) (grpc.ServerStreamingClient[response], error) {
				return c.stubs.Subjects.ExportSubject(ctx, &eventfoldv1.ExportSubjectRequest{
					Subject: subject, Linked: settings.request.Linked, Raw: settings.request.Raw,
					AfterPosition: position,
				})
			},
			take: func(message *response) (isNew, goesOn bool, err error) {
				settings.tell(message.Schemas)
				for _, event := range message.Events {
					position = event.Position
					if !yield(recorded(event), nil) {
						return true, false, nil
					}
				}
				hasEnded = hasEnded || message.End != nil
				return len(message.Events) > 0, true, nil
			},
			done: func() (bool, error) { return hasEnded, nil },
		}
		if err := exporting.run(ctx, c); err != nil {
			yield(nil, err)
		}
	}
}

// PrivacyStatus counts subjects, keys and erasures.
func (c *Client) PrivacyStatus(
	ctx context.Context,
) (*eventfoldv1.GetPrivacyStatusResponse, error) {
	return c.stubs.Subjects.GetPrivacyStatus(ctx, &eventfoldv1.GetPrivacyStatusRequest{})
}

package eventfold

import eventfoldv1 "eventfold.dev/go/eventfold/v1"

// SourceOption chooses the events of a subscription or a group.
type SourceOption interface {
	SubscribeOption
	GroupOption
}

// Types lets only events of these types pass; at most 100. Default: all.
func Types(types ...string) interface {
	ReadOption
	ReadAllOption
	SourceOption
} {
	return typesOption(types)
}

type typesOption []string

func (t typesOption) applyRead(s *readSettings)           { s.request.Types = t }
func (t typesOption) applyReadAll(s *readAllSettings)     { s.request.Types = t }
func (t typesOption) applySubscribe(s *subscribeSettings) { s.request.Types = t }
func (t typesOption) applyGroup(s *groupSettings)         { s.source.Types = t }

// Categories lets only events of streams of these categories pass; at most 100. Default: all.
func Categories(categories ...string) interface {
	ReadAllOption
	SourceOption
} {
	return categoriesOption(categories)
}

type categoriesOption []string

func (c categoriesOption) applyReadAll(s *readAllSettings)     { s.request.Categories = c }
func (c categoriesOption) applySubscribe(s *subscribeSettings) { s.request.Categories = c }
func (c categoriesOption) applyGroup(s *groupSettings)         { s.source.Categories = c }

// Tags lets only events pass that have all of these tags; at most 64.
func Tags(tags ...string) interface {
	ReadAllOption
	SourceOption
} {
	return tagsOption(tags)
}

type tagsOption []string

func (t tagsOption) applyReadAll(s *readAllSettings)     { s.request.Tags = t }
func (t tagsOption) applySubscribe(s *subscribeSettings) { s.request.Tags = t }
func (t tagsOption) applyGroup(s *groupSettings)         { s.source.Tags = t }

// OfStream lets only events of this stream pass, which need not exist yet. Not with Categories.
type OfStream string

func (o OfStream) applySubscribe(s *subscribeSettings) { s.request.Stream = string(o) }
func (o OfStream) applyGroup(s *groupSettings)         { s.source.Stream = string(o) }

// Where lets only events pass for which this CEL expression over `event` and `meta` is true.
type Where string

func (w Where) applySubscribe(s *subscribeSettings) { s.request.Where = string(w) }
func (w Where) applyGroup(s *groupSettings)         { s.source.Where = string(w) }

type systemEvents struct{}

// IncludeSystemEvents lets events of streams pass whose name starts with `$`.
func IncludeSystemEvents() interface {
	ReadAllOption
	SourceOption
} {
	return systemEvents{}
}

func (systemEvents) applyReadAll(s *readAllSettings) { s.request.IncludeSystemEvents = true }

func (systemEvents) applySubscribe(s *subscribeSettings) { s.request.IncludeSystemEvents = true }

func (systemEvents) applyGroup(s *groupSettings) { s.source.IncludeSystemEvents = true }

// Copies says whether copies, which a transform has made of other events, are among the events:
// IncludeCopies or ExcludeCopies. Default: those of a stream or of categories are, those of the
// whole log are not.
type Copies eventfoldv1.Copies

const (
	// IncludeCopies: copies are among the events.
	IncludeCopies = Copies(eventfoldv1.Copies_COPIES_INCLUDE)
	// ExcludeCopies: copies are left out.
	ExcludeCopies = Copies(eventfoldv1.Copies_COPIES_EXCLUDE)
)

func (c Copies) applyReadAll(s *readAllSettings) { s.request.Copies = eventfoldv1.Copies(c) }

func (c Copies) applySubscribe(s *subscribeSettings) { s.request.Copies = eventfoldv1.Copies(c) }

func (c Copies) applyGroup(s *groupSettings) { s.source.Copies = eventfoldv1.Copies(c) }

package eventfold

import (
	"context"
	"encoding/json"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// Projection is one with its generations; Freshness says how fresh rows are; ParkedKey is a key
// whose events are set aside.
type (
	Projection   = eventfoldv1.Projection
	Freshness    = eventfoldv1.Freshness
	ParkedKey    = eventfoldv1.ParkedKey
	Verification = eventfoldv1.Verification
)

// ProjectionSwitch says when a new generation takes the place of the active one.
type ProjectionSwitch = eventfoldv1.ProjectionSwitch

// When a new generation takes the place of the active one. The first generation does so as soon as
// it has caught up.
const (
	SwitchWhenVerified = eventfoldv1.ProjectionSwitch_PROJECTION_SWITCH_WHEN_VERIFIED
	SwitchWhenCaughtUp = eventfoldv1.ProjectionSwitch_PROJECTION_SWITCH_WHEN_CAUGHT_UP
	SwitchByHand       = eventfoldv1.ProjectionSwitch_PROJECTION_SWITCH_BY_HAND
)

// PutProjection registers a projection document under the name that it carries, and returns the
// number of the generation that has it.
//
// Errors: ErrInvalidProjection, ErrProjectionTooLarge, ErrInvalidFold, ErrFoldNotFound.
func (c *Client) PutProjection(
	ctx context.Context, source string, when ProjectionSwitch,
) (projection *Projection, generation int64, err error) {
	answer, err := c.stubs.Projections.PutProjection(ctx, &eventfoldv1.PutProjectionRequest{
		Source: source, Switch: when,
	})
	return answer.GetProjection(), answer.GetGeneration(), err
}

// GetProjection returns a projection with its generations and how far they are.
//
// Errors: ErrProjectionNotFound.
func (c *Client) GetProjection(ctx context.Context, name string) (*Projection, error) {
	request := &eventfoldv1.GetProjectionRequest{Name: name}
	answer, err := c.stubs.Projections.GetProjection(ctx, request)
	return answer.GetProjection(), err
}

// ListProjections lists projections in byte order of their names.
func (c *Client) ListProjections(ctx context.Context) iter.Seq2[*Projection, error] {
	return paged(func(token string) ([]*Projection, string, error) {
		request := &eventfoldv1.ListProjectionsRequest{PageToken: token}
		answer, err := c.stubs.Projections.ListProjections(ctx, request)
		return answer.GetProjections(), answer.GetNextPageToken(), err
	})
}

// RebuildProjection begins a new generation of the document that was put last, and returns its
// number.
//
// Errors: ErrProjectionNotFound, ErrInvalidProjection.
func (c *Client) RebuildProjection(
	ctx context.Context, name string, when ProjectionSwitch,
) (projection *Projection, generation int64, err error) {
	request := &eventfoldv1.RebuildProjectionRequest{Name: name, Switch: when}
	answer, err := c.stubs.Projections.RebuildProjection(ctx, request)
	return answer.GetProjection(), answer.GetGeneration(), err
}

// VerifyProjection compares a generation with a fold from scratch; generation 0: the newest. It
// folds so many keys, drawn at random; 0: 100.
//
// Errors: ErrProjectionNotFound.
func (c *Client) VerifyProjection(
	ctx context.Context, name string, generation int64, keys int32,
) (*Verification, error) {
	type response = eventfoldv1.VerifyProjectionResponse
	request := &eventfoldv1.VerifyProjectionRequest{Name: name, Generation: generation, Keys: keys}
	last, err := lastReport(ctx, c, safeRead,
		func(ctx context.Context) (grpc.ServerStreamingClient[response], error) {
			return c.stubs.Projections.VerifyProjection(ctx, request)
		}, (*response).GetDone)
	return last.GetVerification(), err
}

// SwitchProjection lets queries see another generation; 0: the newest.
//
// Errors: ErrProjectionNotFound, ErrProjectionNotReady, ErrProjectionInUse.
func (c *Client) SwitchProjection(
	ctx context.Context, name string, generation int64,
) (*Projection, error) {
	request := &eventfoldv1.SwitchProjectionRequest{Name: name, Generation: generation}
	answer, err := c.stubs.Projections.SwitchProjection(ctx, request)
	return answer.GetProjection(), err
}

// DropProjection drops a generation that queries do not see; 0: the whole projection.
//
// Errors: ErrProjectionNotFound, ErrProjectionInUse.
func (c *Client) DropProjection(ctx context.Context, name string, generation int64) error {
	request := &eventfoldv1.DropProjectionRequest{Name: name, Generation: generation}
	_, err := c.stubs.Projections.DropProjection(ctx, request)
	return err
}

// Retried is what RetryProjection or RetryAllKeys came to.
type Retried = eventfoldv1.RetryProjectionResponse

// RetryProjection goes on after a failure: of a generation (0: the active one, or the newest), with
// the parked keys that are named.
//
// Errors: ErrProjectionNotFound; ErrInvalidValue without a key.
func (c *Client) RetryProjection(
	ctx context.Context, name string, generation int64, keys ...string,
) (*Retried, error) {
	if len(keys) == 0 {
		return nil, nothingNamed("keys", "RetryAllKeys")
	}
	return c.stubs.Projections.RetryProjection(ctx, &eventfoldv1.RetryProjectionRequest{
		Name: name, Generation: generation, Keys: keys,
	})
}

// RetryAllKeys is RetryProjection with all parked keys of the generation. It is also for one that
// stopped and has none.
//
// Errors: ErrProjectionNotFound.
func (c *Client) RetryAllKeys(
	ctx context.Context, name string, generation int64,
) (*Retried, error) {
	return c.stubs.Projections.RetryProjection(ctx, &eventfoldv1.RetryProjectionRequest{
		Name: name, Generation: generation,
	})
}

// ListParkedKeys lists the parked keys of a generation (0: the active one, or the newest) in byte
// order.
//
// Errors: ErrProjectionNotFound.
func (c *Client) ListParkedKeys(
	ctx context.Context, name string, generation int64,
) iter.Seq2[*ParkedKey, error] {
	return paged(func(token string) ([]*ParkedKey, string, error) {
		answer, err := c.stubs.Projections.ListParkedKeys(ctx, &eventfoldv1.ListParkedKeysRequest{
			Name: name, Generation: generation, PageToken: token,
		})
		return answer.GetKeys(), answer.GetNextPageToken(), err
	})
}

// QueryOption is a choice of Query and Count: Filter, AtLeastPosition, FreshnessAt; of Query alone:
// OrderBy, Descending, Columns, Limit.
type QueryOption interface{ applyQuery(*querySettings) }

type querySettings struct {
	request   *eventfoldv1.QueryProjectionRequest
	limit     int64
	freshness *Freshness
}

type queryOption func(*querySettings)

func (q queryOption) applyQuery(s *querySettings) { q(s) }

// Filter is an expression of the filter language (docs/projections.md) that must be true of a row.
func Filter(expression string) QueryOption {
	return queryOption(func(s *querySettings) { s.request.Filter = expression })
}

// OrderBy orders rows by a column, or by `key`, `version`, `position`; rows without a value come
// last. Several count in their order. Default: by key.
func OrderBy(column string) QueryOption { return order(column, false) }

// Descending is OrderBy from high values to low ones.
func Descending(column string) QueryOption { return order(column, true) }

func order(column string, isDescending bool) QueryOption {
	return queryOption(func(s *querySettings) {
		one := &eventfoldv1.RowOrder{Column: column, Descending: isDescending}
		s.request.Order = append(s.request.Order, one)
	})
}

// Columns are those to return. Default: all.
func Columns(columns ...string) QueryOption {
	return queryOption(func(s *querySettings) { s.request.Columns = columns })
}

// PageSize is how many rows are fetched at once, 1 to 1,000. Default: 100.
func PageSize(rows int32) QueryOption {
	return queryOption(func(s *querySettings) { s.request.PageSize = rows })
}

// FreshnessAt puts into `freshness` how fresh the rows are, with each page.
func FreshnessAt(freshness *Freshness) QueryOption {
	return queryOption(func(s *querySettings) { s.freshness = freshness })
}

func newQuery(name string, options []QueryOption) *querySettings {
	settings := &querySettings{request: &eventfoldv1.QueryProjectionRequest{Name: name}}
	for _, option := range options {
		option.applyQuery(settings)
	}
	return settings
}

func (s *querySettings) fresh(told *eventfoldv1.Freshness) {
	if s.freshness != nil && told != nil {
		proto.Reset(s.freshness)
		proto.Merge(s.freshness, told)
	}
}

// Row is a row of a projection.
type Row[T any] struct {
	// Key is its key.
	Key string
	// Columns are its columns in the caller's type.
	Columns T
	// JSON is the object of its columns as it came.
	JSON json.RawMessage
	// Version and Position are those of the last event that touched it.
	Version, Position int64
	// Erased are columns that are null because their value was erased.
	Erased []string
	// Withheld are columns that are null because the caller may not see personal values.
	Withheld []string
}

// Query gives the rows of a projection, page after page. The columns are decoded as the state of
// Hydrate is.
//
//	for row, err := range eventfold.Query[Customer](ctx, store, "customers",
//		eventfold.Filter("city == 'Paris'"), eventfold.AtLeastPosition(position)) {
//
// Errors: ErrProjectionNotFound, ErrProjectionNotReady, ErrProjectionStopped, ErrInvalidExpression,
// ErrStateMismatch.
func Query[T any](
	ctx context.Context, c *Client, name string, options ...QueryOption,
) iter.Seq2[Row[T], error] {
	return func(yield func(Row[T], error) bool) {
		settings := newQuery(name, options)
		count := int64(0)
		rows := paged(func(token string) ([]*eventfoldv1.ProjectionRow, string, error) {
			request := proto.CloneOf(settings.request)
			request.PageToken = token
			if left := settings.limit - count; settings.limit > 0 && left <= 100 {
				request.PageSize = int32(left)
			}
			answer, err := c.stubs.Projections.QueryProjection(ctx, request)
			settings.fresh(answer.GetFreshness())
			return answer.GetRows(), answer.GetNextPageToken(), err
		})
		for row, err := range rows {
			var one Row[T]
			if err == nil {
				one, err = rowOf[T](row)
			}
			if !yield(one, err) || err != nil {
				return
			}
			if count++; count == settings.limit {
				return
			}
		}
	}
}

func rowOf[T any](row *eventfoldv1.ProjectionRow) (Row[T], error) {
	one := Row[T]{
		Key: row.Key, JSON: row.Columns, Version: row.Version, Position: row.Position,
		Erased: row.Erased, Withheld: row.Withheld,
	}
	return one, decode(one.JSON, &one.Columns)
}

// Count counts the rows of a projection that pass the filter.
//
// Errors: those of Query.
func (c *Client) Count(
	ctx context.Context, name string, options ...QueryOption,
) (int64, error) {
	settings := newQuery(name, options)
	answer, err := c.stubs.Projections.CountProjection(ctx, &eventfoldv1.CountProjectionRequest{
		Name: name, Filter: settings.request.Filter,
		AtLeastPosition: settings.request.AtLeastPosition,
	})
	settings.fresh(answer.GetFreshness())
	return answer.GetRows(), err
}

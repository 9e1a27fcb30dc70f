package eventfold

import (
	"context"
	"iter"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// Group is a consumer group, GroupStatus how it is doing, and GroupSettings how it delivers.
type (
	Group         = eventfoldv1.Group
	GroupStatus   = eventfoldv1.GroupStatus
	GroupSettings = eventfoldv1.GroupSettings
)

// GroupOption is a choice of CreateGroup: a filter, Settings or StartAt.
type GroupOption interface{ applyGroup(*groupSettings) }

type groupSettings struct {
	source   *eventfoldv1.GroupSource
	settings *eventfoldv1.GroupSettings
	start    *eventfoldv1.GroupStart
}

type groupOption func(*groupSettings)

func (g groupOption) applyGroup(s *groupSettings) { g(s) }

// Settings say how the group delivers; fields that are not set have their defaults.
func Settings(settings *GroupSettings) GroupOption {
	return groupOption(func(s *groupSettings) { s.settings = settings })
}

// GroupStart says where a group begins: FromBeginning, FromPosition, AfterToken, FromRecordedAt or
// FromNow.
type GroupStart interface {
	groupStart() *eventfoldv1.GroupStart
}

// StartAt says where the group begins. Default: with the first event of the log.
func StartAt(start GroupStart) GroupOption {
	return groupOption(func(s *groupSettings) { s.start = start.groupStart() })
}

// FromBeginning begins with the first event of the log.
func FromBeginning() GroupStart { return FromPosition(1) }

// CreateGroup creates a consumer group; created says whether it is new. The same again changes
// nothing.
//
// Errors: ErrGroupExists, if another one has the name; ErrInvalidExpression, ErrPositionAhead,
// ErrCopiesAmbiguous.
func (c *Client) CreateGroup(
	ctx context.Context, name string, options ...GroupOption,
) (group *Group, created bool, err error) {
	settings := &groupSettings{source: &eventfoldv1.GroupSource{}}
	for _, option := range options {
		option.applyGroup(settings)
	}
	answer, err := c.stubs.ConsumerGroups.CreateGroup(ctx, &eventfoldv1.CreateGroupRequest{
		Name: name, Source: settings.source, Settings: settings.settings, Start: settings.start,
	})
	return answer.GetGroup(), answer.GetCreated(), err
}

// GetGroup describes a group, how far it is, and who consumes it.
//
// Errors: ErrGroupNotFound.
func (c *Client) GetGroup(ctx context.Context, name string) (*Group, *GroupStatus, error) {
	answer, err := c.stubs.ConsumerGroups.GetGroup(ctx, &eventfoldv1.GetGroupRequest{Name: name})
	return answer.GetGroup(), answer.GetStatus(), err
}

// ListGroups lists groups in byte order of their names.
func (c *Client) ListGroups(ctx context.Context) iter.Seq2[*Group, error] {
	return paged(func(token string) ([]*Group, string, error) {
		request := &eventfoldv1.ListGroupsRequest{PageToken: token}
		answer, err := c.stubs.ConsumerGroups.ListGroups(ctx, request)
		return answer.GetGroups(), answer.GetNextPageToken(), err
	})
}

// DeleteGroup deletes a group with its progress and its parked events.
//
// Errors: ErrGroupNotFound.
func (c *Client) DeleteGroup(ctx context.Context, name string) error {
	request := &eventfoldv1.DeleteGroupRequest{Name: name}
	_, err := c.stubs.ConsumerGroups.DeleteGroup(ctx, request)
	return err
}

// ResetGroup lets a group begin anew somewhere in the log.
//
// Errors: ErrGroupNotFound, ErrPositionAhead, ErrInvalidResumeToken, ErrStoreIncarnationChanged.
func (c *Client) ResetGroup(ctx context.Context, name string, start GroupStart) (*Group, error) {
	request := &eventfoldv1.ResetGroupRequest{Name: name, Start: start.groupStart()}
	answer, err := c.stubs.ConsumerGroups.ResetGroup(ctx, request)
	return answer.GetGroup(), err
}

// ParkedEvent is an event that was set aside, and why.
type ParkedEvent struct {
	// Event is the event.
	Event *RecordedEvent
	// About has attempts, cause and reason.
	About *eventfoldv1.ParkedEvent
}

// ListParked lists the parked events of a group in order of position.
//
// Errors: ErrGroupNotFound.
func (c *Client) ListParked(ctx context.Context, group string) iter.Seq2[ParkedEvent, error] {
	return paged(func(token string) ([]ParkedEvent, string, error) {
		request := &eventfoldv1.ListParkedRequest{Group: group, PageToken: token}
		answer, err := c.stubs.ConsumerGroups.ListParked(ctx, request)
		if err != nil {
			return nil, "", err
		}
		parked := make([]ParkedEvent, min(len(answer.Events), len(answer.Parked)))
		for i := range parked {
			parked[i] = ParkedEvent{recorded(answer.Events[i]), answer.Parked[i]}
		}
		return parked, answer.NextPageToken, nil
	})
}

// ReplayParked delivers parked events again, those at the positions. It returns how many.
//
// Errors: ErrGroupNotFound; ErrInvalidValue without a position.
func (c *Client) ReplayParked(
	ctx context.Context, group string, positions ...int64,
) (int64, error) {
	if len(positions) == 0 {
		return 0, nothingNamed("positions", "ReplayAllParked")
	}
	return c.replayParked(ctx, &eventfoldv1.ReplayParkedRequest{
		Group: group, Positions: positions,
	})
}

// ReplayAllParked delivers all parked events of a group again. It returns how many.
//
// Errors: ErrGroupNotFound.
func (c *Client) ReplayAllParked(ctx context.Context, group string) (int64, error) {
	return c.replayParked(ctx, &eventfoldv1.ReplayParkedRequest{Group: group, All: true})
}

func (c *Client) replayParked(
	ctx context.Context, request *eventfoldv1.ReplayParkedRequest,
) (int64, error) {
	answer, err := c.stubs.ConsumerGroups.ReplayParked(ctx, request)
	return answer.GetReplayed(), err
}

// PurgeParked gives parked events up, those at the positions. It returns how many.
//
// Errors: ErrGroupNotFound; ErrInvalidValue without a position.
func (c *Client) PurgeParked(
	ctx context.Context, group string, positions ...int64,
) (int64, error) {
	if len(positions) == 0 {
		return 0, nothingNamed("positions", "PurgeAllParked")
	}
	return c.purgeParked(ctx, &eventfoldv1.PurgeParkedRequest{
		Group: group, Positions: positions,
	})
}

// PurgeAllParked gives all parked events of a group up. It returns how many.
//
// Errors: ErrGroupNotFound.
func (c *Client) PurgeAllParked(ctx context.Context, group string) (int64, error) {
	return c.purgeParked(ctx, &eventfoldv1.PurgeParkedRequest{Group: group, All: true})
}

func (c *Client) purgeParked(
	ctx context.Context, request *eventfoldv1.PurgeParkedRequest,
) (int64, error) {
	answer, err := c.stubs.ConsumerGroups.PurgeParked(ctx, request)
	return answer.GetPurged(), err
}

// nothingNamed refuses a selection that is empty: one that was computed is not meant as all.
func nothingNamed(path, all string) error {
	return invalidValue(path, "it is empty; "+all+" is for all", nil)
}

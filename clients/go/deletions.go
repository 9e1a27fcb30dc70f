package eventfold

import (
	"context"
	"iter"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// DeletionPlan is what a deletion would do, StreamDeletion a job that deletes, Link says that one
// stream belongs to another, and LinkRule that many do.
type (
	DeletionPlan   = eventfoldv1.DeletionPlan
	StreamDeletion = eventfoldv1.DeletionJob
	Link           = eventfoldv1.Link
	LinkRule       = eventfoldv1.LinkRule
	LinkPolicy     = eventfoldv1.LinkPolicy
)

// What becomes of a stream when the one that it belongs to is deleted.
const (
	// LinkCascade: it goes too.
	LinkCascade = eventfoldv1.LinkPolicy_LINK_POLICY_CASCADE
	// LinkRestrict: it forbids the deletion.
	LinkRestrict = eventfoldv1.LinkPolicy_LINK_POLICY_RESTRICT
	// LinkDetach: it stays, without the link.
	LinkDetach = eventfoldv1.LinkPolicy_LINK_POLICY_DETACH
)

// PlanDelete says what DeleteStream would do, and does nothing.
//
// Errors: ErrStreamNotFound, ErrStreamDeleted, ErrLinksBehind, ErrDeletionTooLarge.
func (c *Client) PlanDelete(ctx context.Context, stream string) (*DeletionPlan, error) {
	answer, err := c.stubs.Deletion.PlanDelete(ctx, &eventfoldv1.PlanDeleteRequest{Stream: stream})
	return answer.GetPlan(), err
}

// DeleteStream deletes the payloads of a stream, of its line of periods, and of what belongs to it.
// With the digest of a plan it does so only if the plan is still that; empty: whatever it is. The
// reason is for people: no personal data.
//
// Errors: ErrStreamNotFound, ErrStreamDeleted, ErrVersionConflict, ErrDeletionRestricted,
// ErrDeletionPlanMoved, ErrLinksBehind, ErrDeletionTooLarge, ErrLegalHold.
func (c *Client) DeleteStream(
	ctx context.Context, stream string, expected ExpectedVersion, reason, planDigest string,
) (*StreamDeletion, error) {
	answer, err := c.stubs.Deletion.DeleteStream(ctx, &eventfoldv1.DeleteStreamRequest{
		Stream: stream, ExpectedVersion: expected.message, Reason: reason, PlanDigest: planDigest,
	})
	return answer.GetDeletion(), err
}

// GetDeletion returns a deletion. The streams that go are in the answer of the stub.
//
// Errors: ErrDeletionNotFound.
func (c *Client) GetDeletion(ctx context.Context, id string) (*StreamDeletion, error) {
	request := &eventfoldv1.GetDeletionRequest{DeletionId: id}
	answer, err := c.stubs.Deletion.GetDeletion(ctx, request)
	return answer.GetDeletion(), err
}

// ListDeletions lists deletions: of a stream, or of all if it is empty.
func (c *Client) ListDeletions(
	ctx context.Context, stream string,
) iter.Seq2[*StreamDeletion, error] {
	return paged(func(token string) ([]*StreamDeletion, string, error) {
		request := &eventfoldv1.ListDeletionsRequest{Stream: stream, PageToken: token}
		answer, err := c.stubs.Deletion.ListDeletions(ctx, request)
		return answer.GetDeletions(), answer.GetNextPageToken(), err
	})
}

// PutLink says that a stream belongs to another one, its owner.
//
// Errors: ErrInvalidStreamName, ErrInvalidRequest.
func (c *Client) PutLink(ctx context.Context, stream, owner string, policy LinkPolicy) error {
	request := &eventfoldv1.PutLinkRequest{Stream: stream, Owner: owner, Policy: policy}
	_, err := c.stubs.Links.PutLink(ctx, request)
	return err
}

// DropLink drops a link that was put by hand.
//
// Errors: ErrLinkNotFound.
func (c *Client) DropLink(ctx context.Context, stream, owner string) error {
	request := &eventfoldv1.DropLinkRequest{Stream: stream, Owner: owner}
	_, err := c.stubs.Links.DropLink(ctx, request)
	return err
}

// ListLinks lists the links of a stream, and to an owner; one of the two may be empty.
func (c *Client) ListLinks(ctx context.Context, stream, owner string) iter.Seq2[*Link, error] {
	return paged(func(token string) ([]*Link, string, error) {
		answer, err := c.stubs.Links.ListLinks(ctx, &eventfoldv1.ListLinksRequest{
			Stream: stream, Owner: owner, PageToken: token,
		})
		return answer.GetLinks(), answer.GetNextPageToken(), err
	})
}

// PutLinkRule registers a rule by which streams belong to others; begins says whether events are
// looked through anew.
//
// Errors: ErrInvalidRequest.
func (c *Client) PutLinkRule(
	ctx context.Context, rule *LinkRule,
) (put *LinkRule, begins bool, err error) {
	answer, err := c.stubs.Links.PutLinkRule(ctx, &eventfoldv1.PutLinkRuleRequest{Rule: rule})
	return answer.GetRule(), answer.GetBegins(), err
}

// DropLinkRule drops a rule, and the links by it.
//
// Errors: ErrLinkNotFound.
func (c *Client) DropLinkRule(ctx context.Context, name string) error {
	_, err := c.stubs.Links.DropLinkRule(ctx, &eventfoldv1.DropLinkRuleRequest{Name: name})
	return err
}

// ListLinkRules lists the rules in byte order of their names.
func (c *Client) ListLinkRules(ctx context.Context) iter.Seq2[*LinkRule, error] {
	return paged(func(token string) ([]*LinkRule, string, error) {
		request := &eventfoldv1.ListLinkRulesRequest{PageToken: token}
		answer, err := c.stubs.Links.ListLinkRules(ctx, request)
		return answer.GetRules(), answer.GetNextPageToken(), err
	})
}

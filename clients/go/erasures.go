package eventfold

import (
	"context"
	"iter"

	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

// ErasurePlan is what an erasure would do, Erasure a job that erases, LegalHold what forbids it.
type (
	ErasurePlan = eventfoldv1.ErasurePlan
	Erasure     = eventfoldv1.ErasureJob
	LegalHold   = eventfoldv1.LegalHold
)

// PlanErase says what Erase would do, and does nothing.
//
// Errors: ErrSubjectIndexBehind, ErrLinksBehind, ErrDeletionTooLarge, ErrKeysNotConfigured.
func (c *Client) PlanErase(ctx context.Context, subject string) (*ErasurePlan, error) {
	answer, err := c.stubs.Erasures.PlanErase(ctx, &eventfoldv1.PlanEraseRequest{Subject: subject})
	return answer.GetPlan(), err
}

// EraseOption is a choice of Erase: OnlyPlan, RequestID.
type EraseOption func(*eventfoldv1.EraseRequest)

// OnlyPlan erases only if the plan is still that of this digest; else ErrErasurePlanMoved.
func OnlyPlan(digest string) EraseOption {
	return func(r *eventfoldv1.EraseRequest) { r.PlanDigest = digest }
}

// RequestID tells this request from others: the same again answers with the same erasure.
func RequestID(id string) EraseOption {
	return func(r *eventfoldv1.EraseRequest) { r.RequestId = id }
}

// Erase destroys the keys of a subject, and starts the job that removes what was made of its
// values. The reason is for people: no personal data.
//
// Errors: ErrLegalHold, ErrDeletionRestricted, ErrErasurePlanMoved, ErrSubjectIndexBehind,
// ErrLinksBehind, ErrDeletionTooLarge, ErrKeysNotConfigured.
func (c *Client) Erase(
	ctx context.Context, subject, reason string, options ...EraseOption,
) (*Erasure, error) {
	request := &eventfoldv1.EraseRequest{Subject: subject, Reason: reason}
	for _, option := range options {
		option(request)
	}
	answer, err := c.stubs.Erasures.Erase(ctx, request)
	return answer.GetErasure(), err
}

// GetErasure returns an erasure, and its receipt when it is done.
//
// Errors: ErrErasureNotFound.
func (c *Client) GetErasure(
	ctx context.Context, id string,
) (erasure *Erasure, receipt string, err error) {
	request := &eventfoldv1.GetErasureRequest{ErasureId: id}
	answer, err := c.stubs.Erasures.GetErasure(ctx, request)
	return answer.GetErasure(), answer.GetReceipt(), err
}

// ListErasures lists erasures: of a subject (empty: of all), or only those that are not done.
func (c *Client) ListErasures(
	ctx context.Context, subject string, onlyOpen bool,
) iter.Seq2[*Erasure, error] {
	return paged(func(token string) ([]*Erasure, string, error) {
		answer, err := c.stubs.Erasures.ListErasures(ctx, &eventfoldv1.ListErasuresRequest{
			Subject: subject, Open: onlyOpen, PageToken: token,
		})
		return answer.GetErasures(), answer.GetNextPageToken(), err
	})
}

// HoldTarget is what a legal hold protects: HoldSubject or HoldStream.
type HoldTarget func(*eventfoldv1.PutLegalHoldRequest)

// HoldSubject protects a subject from erasure.
func HoldSubject(subject string) HoldTarget {
	return func(r *eventfoldv1.PutLegalHoldRequest) {
		r.Target = &eventfoldv1.PutLegalHoldRequest_Subject{Subject: subject}
	}
}

// HoldStream protects a stream from deletion.
func HoldStream(stream string) HoldTarget {
	return func(r *eventfoldv1.PutLegalHoldRequest) {
		r.Target = &eventfoldv1.PutLegalHoldRequest_Stream{Stream: stream}
	}
}

// PutLegalHold forbids erasure or deletion until the hold is released.
//
// Errors: ErrHoldExists, ErrTooManyHolds.
func (c *Client) PutLegalHold(
	ctx context.Context, name string, target HoldTarget, reason string,
) (*LegalHold, error) {
	request := &eventfoldv1.PutLegalHoldRequest{Name: name, Reason: reason}
	target(request)
	answer, err := c.stubs.Erasures.PutLegalHold(ctx, request)
	return answer.GetHold(), err
}

// ReleaseLegalHold releases a hold.
//
// Errors: ErrHoldNotFound.
func (c *Client) ReleaseLegalHold(ctx context.Context, name string) error {
	request := &eventfoldv1.ReleaseLegalHoldRequest{Name: name}
	_, err := c.stubs.Erasures.ReleaseLegalHold(ctx, request)
	return err
}

// ListLegalHolds lists the holds that there are.
func (c *Client) ListLegalHolds(ctx context.Context) iter.Seq2[*LegalHold, error] {
	return paged(func(token string) ([]*LegalHold, string, error) {
		request := &eventfoldv1.ListLegalHoldsRequest{PageToken: token}
		answer, err := c.stubs.Erasures.ListLegalHolds(ctx, request)
		return answer.GetHolds(), answer.GetNextPageToken(), err
	})
}

// RotateMasterKey wraps the keys of subjects anew under the newest master key. It goes on until no
// key is left, in as many calls as it takes.
//
// Errors: ErrKeysNotConfigured, ErrKeysUnavailable.
func (c *Client) RotateMasterKey(
	ctx context.Context,
) (*eventfoldv1.RotateMasterKeyResponse, error) {
	total := &eventfoldv1.RotateMasterKeyResponse{}
	for {
		request := &eventfoldv1.RotateMasterKeyRequest{}
		answer, err := c.stubs.Keys.RotateMasterKey(ctx, request)
		if err != nil {
			return nil, err
		}
		total.MasterKey, total.Left = answer.MasterKey, answer.Left
		total.Rewrapped += answer.Rewrapped
		total.Failed, total.Done = answer.Failed, answer.Done
		// A call that wraps nothing would go on for ever.
		if answer.Done || answer.Rewrapped == 0 {
			return total, nil
		}
	}
}

// RotateDataKey gives a subject a new version of its key; returns that.
//
// Errors: ErrSubjectNotFound, ErrSubjectNotActive, ErrKeysNotConfigured.
func (c *Client) RotateDataKey(ctx context.Context, subject string) (int32, error) {
	answer, err := c.stubs.Keys.RotateDataKey(ctx, &eventfoldv1.RotateDataKeyRequest{
		Target: &eventfoldv1.RotateDataKeyRequest_Subject{Subject: subject},
	})
	return answer.GetVersion(), err
}

// ReadmitSubject lets a subject that was erased have keys again, under a new id. It returns the id
// that was erased.
//
// Errors: ErrSubjectNotErased, ErrErasureUnderWay, ErrKeysNotConfigured.
func (c *Client) ReadmitSubject(ctx context.Context, subject string) (string, error) {
	request := &eventfoldv1.ReadmitSubjectRequest{Subject: subject}
	answer, err := c.stubs.Keys.ReadmitSubject(ctx, request)
	return answer.GetErasedSubjectId(), err
}

// GetSubject describes a subject by its name.
//
// Errors: ErrSubjectNotFound, ErrKeysNotConfigured.
func (c *Client) GetSubject(ctx context.Context, name string) (*Subject, error) {
	answer, err := c.stubs.Keys.GetSubject(ctx, &eventfoldv1.GetSubjectRequest{
		Subject: &eventfoldv1.GetSubjectRequest_Name{Name: name},
	})
	return answer.GetSubject(), err
}

// ListSubjects lists the subjects of a category, in the order of their ids; empty: of all.
//
// Errors: ErrKeysNotConfigured.
func (c *Client) ListSubjects(
	ctx context.Context, category string,
) iter.Seq2[*Subject, error] {
	return paged(func(token string) ([]*Subject, string, error) {
		answer, err := c.stubs.Keys.ListSubjects(ctx, &eventfoldv1.ListSubjectsRequest{
			Category: category, PageToken: token,
		})
		return answer.GetSubjects(), answer.GetNextPageToken(), err
	})
}

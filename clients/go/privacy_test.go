package eventfold_test

import (
	"encoding/json"
	"errors"
	"testing"

	eventfold "eventfold.dev/go"
	eventfoldv1 "eventfold.dev/go/eventfold/v1"
)

const mailRules = `{"privacy": "Mailed", "personal": {"/mail": {}}}`

// Goal: personal data is declared, found, exported, held and erased.
func TestPrivacy(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	same(t, "checked", must(store.CheckPrivacyRules(ctx, mailRules)).Done, true)
	same(t, "put", must(store.PutPrivacyRules(ctx, mailRules)).Rules.GetRevision(), 1)
	of := eventfold.RulesOfType("Mailed")
	same(t, "get", len(must(store.GetPrivacyRules(ctx, of, 0)).Fields), 1)
	same(t, "list", len(collect(t, store.ListPrivacyRules(ctx))), 1)
	mailed := eventfold.NewEvent("Mailed", json.RawMessage(`{"mail": "a@b", "n": 1.50}`))
	_ = must(store.Append(ctx, "user-1", eventfold.Exact(0), several(mailed)))

	found := soon(t, func() (*eventfold.FoundSubject, error) {
		return store.FindSubject(ctx, "user-1")
	})
	same(t, "found", []any{found.Subject.Name, found.Events[0].Events}, []any{"user-1", 1})
	exported := collect(t, store.ExportSubject(ctx, "user-1", eventfold.ExportLinked()))
	same(t, "exported", []any{len(exported), string(exported[0].Data)},
		[]any{1, `{"mail": "a@b", "n": 1.50}`})
	same(t, "subject", must(store.GetSubject(ctx, "user-1")).Version, 1)
	same(t, "subjects", len(collect(t, store.ListSubjects(ctx, ""))), 1)
	same(t, "status", must(store.PrivacyStatus(ctx)).SubjectsActive, 1)
	same(t, "rotated", must(store.RotateDataKey(ctx, "user-1")), 2)
	same(t, "wrapped", must(store.RotateMasterKey(ctx)).Done, true)

	_ = must(store.PutLegalHold(ctx, "court", eventfold.HoldSubject("user-1"), "a court says so"))
	same(t, "holds", len(collect(t, store.ListLegalHolds(ctx))), 1)
	plan := must(store.PlanErase(ctx, "user-1"))
	same(t, "plan", []any{plan.Holds, plan.Streams}, []any{[]string{"court"}, 1})
	_, err := store.Erase(ctx, "user-1", "asked for")
	var held *eventfold.LegalHoldError
	if !errors.As(err, &held) {
		t.Errorf("found %v", err)
	}
	if err := store.ReleaseLegalHold(ctx, "court"); err != nil {
		t.Error(err)
	}
	id := opened("x").ID
	plan = must(store.PlanErase(ctx, "user-1"))
	erasure := must(store.Erase(ctx, "user-1", "asked for", eventfold.RequestID(id),
		eventfold.OnlyPlan(plan.Digest)))
	same(t, "erasure", erasure.ErasureId, id)
	receipt := soon(t, func() (string, error) {
		job, receipt, err := store.GetErasure(ctx, id)
		if err == nil && job.State != eventfoldv1.ErasureState_ERASURE_STATE_DONE {
			err = errors.New("it is not done yet")
		}
		return receipt, err
	})
	same(t, "receipt", receipt != "", true)
	same(t, "erasures", len(collect(t, store.ListErasures(ctx, "user-1", false))), 1)
	erased := collect(t, store.Read(ctx, "user-1"))[0]
	same(t, "erased", []any{string(erased.Data), erased.ErasedPaths},
		[]any{`{"mail": null, "n": 1.50}`, []string{"/mail"}})
	same(t, "readmitted", must(store.ReadmitSubject(ctx, "user-1")) != "", true)
	if err := store.DropPrivacyRules(ctx, of); err != nil {
		t.Error(err)
	}
	_, err = store.GetPrivacyRules(ctx, eventfold.RulesOfCategory("none"), 0)
	if !errors.Is(err, eventfold.ErrPrivacyRulesNotFound) {
		t.Errorf("found %v", err)
	}
}

// Goal: streams are linked and deleted.
func TestDeletion(t *testing.T) {
	defer caught(t)
	ctx, store := onServer(t)
	for _, stream := range []string{"user-1", "order-1"} {
		_ = must(store.Append(ctx, stream, eventfold.Exact(0), several(opened("A"))))
	}
	if err := store.PutLink(ctx, "order-1", "user-1", eventfold.LinkRestrict); err != nil {
		t.Fatal(err)
	}
	same(t, "links", len(collect(t, store.ListLinks(ctx, "", "user-1"))), 1)
	plan := soon(t, func() (*eventfold.DeletionPlan, error) { return store.PlanDelete(ctx, "user-1") })
	same(t, "restrictions", len(plan.Restrictions), 1)
	_, err := store.DeleteStream(ctx, "user-1", eventfold.Exact(1), "asked for", "")
	if !errors.Is(err, eventfold.ErrDeletionRestricted) {
		t.Errorf("found %v", err)
	}
	if err := store.DropLink(ctx, "order-1", "user-1"); err != nil {
		t.Fatal(err)
	}
	rule, begins, err := store.PutLinkRule(ctx, &eventfold.LinkRule{
		Name: "halves", Policy: eventfold.LinkCascade, Link: &eventfoldv1.LinkRule_ByCategory{
			ByCategory: &eventfoldv1.LinkByCategory{Category: "private", Of: "user"},
		},
	})
	same(t, "rule", []any{rule.GetName(), begins, err}, []any{"halves", true, nil})
	same(t, "rules", len(collect(t, store.ListLinkRules(ctx))), 1)
	plan = soon(t, func() (*eventfold.DeletionPlan, error) { return store.PlanDelete(ctx, "user-1") })
	deletion := must(store.DeleteStream(ctx, "user-1", eventfold.Exact(1), "asked for", plan.Digest))
	same(t, "deletion", must(store.GetDeletion(ctx, deletion.DeletionId)).Stream, "user-1")
	same(t, "deletions", len(collect(t, store.ListDeletions(ctx, "user-1"))), 1)
	for _, err := range store.Read(ctx, "user-1") {
		var deleted *eventfold.StreamDeletedError
		if err != nil && !errors.As(err, &deleted) {
			t.Errorf("found %v", err)
		}
	}
	_, err = store.Append(ctx, "user-1", eventfold.AnyVersion(), several(opened("B")))
	if !errors.Is(err, eventfold.ErrStreamDeleted) {
		t.Errorf("found %v", err)
	}
	if err := store.DropLinkRule(ctx, "halves"); err != nil {
		t.Error(err)
	}
}

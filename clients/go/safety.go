package eventfold

import eventfoldv1 "eventfold.dev/go/eventfold/v1"

// Calls that go on until the client ends them: they have no deadline but the context's.
var endless = map[string]bool{
	eventfoldv1.Subscriptions_Subscribe_FullMethodName:  true,
	eventfoldv1.Folds_Watch_FullMethodName:              true,
	eventfoldv1.ConsumerGroups_Consume_FullMethodName:   true,
	eventfoldv1.EventStore_AppendSession_FullMethodName: true,
}

// Whatever is not named here changes something, and is repeated only if the server said that
// nothing was stored.
var safeties = map[string]safety{
	eventfoldv1.EventStore_Append_FullMethodName:        safeAppend,
	eventfoldv1.EventStore_AppendMany_FullMethodName:    safeAppend,
	eventfoldv1.EventStore_AppendSession_FullMethodName: safeAppend,
	eventfoldv1.EventStore_Compensate_FullMethodName:    safeAppend,
	eventfoldv1.EventStore_CloseStream_FullMethodName:   safeAppend,
	eventfoldv1.Transforms_AppendCopies_FullMethodName:  safeAppend,

	eventfoldv1.EventStore_CheckAppend_FullMethodName: safeRead,
	eventfoldv1.EventStore_Read_FullMethodName:        safeRead,
	eventfoldv1.EventStore_ReadAll_FullMethodName:     safeRead,
	eventfoldv1.EventStore_GetEvent_FullMethodName:    safeRead,
	eventfoldv1.EventStore_GetStream_FullMethodName:   safeRead,
	eventfoldv1.EventStore_ListStreams_FullMethodName: safeRead,

	eventfoldv1.Folds_Hydrate_FullMethodName:        safeRead,
	eventfoldv1.Folds_HydrateMany_FullMethodName:    safeRead,
	eventfoldv1.Folds_HydrateHistory_FullMethodName: safeRead,
	eventfoldv1.Folds_Explain_FullMethodName:        safeRead,
	eventfoldv1.Folds_Watch_FullMethodName:          safeRead,
	eventfoldv1.Folds_CheckFold_FullMethodName:      safeRead,
	eventfoldv1.Folds_GetFold_FullMethodName:        safeRead,
	eventfoldv1.Folds_ListFolds_FullMethodName:      safeRead,

	eventfoldv1.Subscriptions_Subscribe_FullMethodName: safeRead,
	// Nothing is settled twice: what was in hand is delivered again.
	eventfoldv1.ConsumerGroups_Consume_FullMethodName:    safeRead,
	eventfoldv1.ConsumerGroups_GetGroup_FullMethodName:   safeRead,
	eventfoldv1.ConsumerGroups_ListGroups_FullMethodName: safeRead,
	eventfoldv1.ConsumerGroups_ListParked_FullMethodName: safeRead,

	eventfoldv1.Projections_GetProjection_FullMethodName:    safeRead,
	eventfoldv1.Projections_ListProjections_FullMethodName:  safeRead,
	eventfoldv1.Projections_VerifyProjection_FullMethodName: safeRead,
	eventfoldv1.Projections_ListParkedKeys_FullMethodName:   safeRead,
	eventfoldv1.Projections_QueryProjection_FullMethodName:  safeRead,
	eventfoldv1.Projections_CountProjection_FullMethodName:  safeRead,
	eventfoldv1.Projections_TryProjection_FullMethodName:    safeRead,

	eventfoldv1.References_GetReferences_FullMethodName: safeRead,
	eventfoldv1.References_GetReferrers_FullMethodName:  safeRead,

	eventfoldv1.EventTypes_GetSchema_FullMethodName:      safeRead,
	eventfoldv1.EventTypes_ListSchemas_FullMethodName:    safeRead,
	eventfoldv1.EventTypes_CheckSchema_FullMethodName:    safeRead,
	eventfoldv1.EventTypes_CheckMapping_FullMethodName:   safeRead,
	eventfoldv1.EventTypes_GetMapping_FullMethodName:     safeRead,
	eventfoldv1.EventTypes_ListMappings_FullMethodName:   safeRead,
	eventfoldv1.EventTypes_ListCategories_FullMethodName: safeRead,
	eventfoldv1.EventTypes_ListEventTypes_FullMethodName: safeRead,

	eventfoldv1.Transforms_GetTransform_FullMethodName:   safeRead,
	eventfoldv1.Transforms_ListTransforms_FullMethodName: safeRead,
	eventfoldv1.Transforms_DigestCopies_FullMethodName:   safeRead,

	eventfoldv1.Privacy_CheckPrivacyRules_FullMethodName: safeRead,
	eventfoldv1.Privacy_GetPrivacyRules_FullMethodName:   safeRead,
	eventfoldv1.Privacy_ListPrivacyRules_FullMethodName:  safeRead,

	eventfoldv1.Erasures_PlanErase_FullMethodName:      safeRead,
	eventfoldv1.Erasures_GetErasure_FullMethodName:     safeRead,
	eventfoldv1.Erasures_ListErasures_FullMethodName:   safeRead,
	eventfoldv1.Erasures_ListLegalHolds_FullMethodName: safeRead,

	eventfoldv1.Subjects_FindSubject_FullMethodName:      safeRead,
	eventfoldv1.Subjects_ExportSubject_FullMethodName:    safeRead,
	eventfoldv1.Subjects_GetPrivacyStatus_FullMethodName: safeRead,

	// What was wrapped anew is not wrapped again.
	eventfoldv1.Keys_RotateMasterKey_FullMethodName: safeRead,
	eventfoldv1.Keys_GetSubject_FullMethodName:      safeRead,
	eventfoldv1.Keys_ListSubjects_FullMethodName:    safeRead,

	eventfoldv1.Deletion_PlanDelete_FullMethodName:    safeRead,
	eventfoldv1.Deletion_GetDeletion_FullMethodName:   safeRead,
	eventfoldv1.Deletion_ListDeletions_FullMethodName: safeRead,

	eventfoldv1.Links_ListLinkRules_FullMethodName: safeRead,
	eventfoldv1.Links_ListLinks_FullMethodName:     safeRead,
}

// safetyOf says what may be repeated of a call. An append whose events do not all name their ids
// would be stored again.
func safetyOf(method string, request any) safety {
	kind := safeties[method]
	if kind == safeAppend && !namesIDs(request) {
		return safeWrite
	}
	return kind
}

func namesIDs(request any) bool {
	switch request := request.(type) {
	case *eventfoldv1.AppendRequest:
		return allNamed(request.GetEvents())
	case *eventfoldv1.AppendManyRequest:
		for _, one := range request.GetAppends() {
			if !allNamed(one.GetEvents()) {
				return false
			}
		}
	case *eventfoldv1.CompensateRequest:
		correction := request.GetCorrection()
		return request.GetCancellation().GetId() != "" &&
			(correction == nil || correction.GetId() != "")
	}
	return true
}

func allNamed(events []*eventfoldv1.NewEvent) bool {
	for _, event := range events {
		if event.GetId() == "" {
			return false
		}
	}
	return true
}

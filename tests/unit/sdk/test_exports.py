"""Goal: public names change only on purpose.

Method: the list stands here in full, apart from the classes of the catalogue of errors.
"""

from __future__ import annotations

import inspect

import eventfold
from eventfold._generated.errors import BY_REASON

PUBLIC = """
ANY AppendResult AsyncClient AsyncConsumer AsyncDelivery AsyncEventReader AsyncSubscription
AsyncWatch CarriedState CategoryInfo CheckResult Checks ChecksFailed Client ClosedStream
ConnectionFailed Consumer Copies CutLink DeletedStream DeletionInfo DeletionPlan DeletionStage
Delivery Direction Document EXISTS ErasedEvents ErasureInfo ErasurePlan ErasureReceipt ErasureStage
Event EventFlags EventId EventReader EventTypeInfo EventfoldError ExistingValues Expect
ExpectedVersion ExplainedEvent ExportedSchema FailedCheck Fold FoldInfo FoldLike FoldReport Follow
FoundSubject Frame FrameKind Freshness Generation GenerationState Group GroupConsumer GroupSettings
GroupStatus Handlers HistoricState Hydrated HydratedMany HydratedUnion InsecureConnection
InvalidValue LegalHoldInfo Lifecycle Link LinkPolicy LinkRule MappingCheck MappingInfo MappingPut
MasterKeyRotation Misfit OnPark OnReconnect ParkCause ParkedEvent ParkedKey PersonalField Place
PlaintextEvent PlaintextEvents PrivacyOrigin PrivacyRules PrivacyRulesCheck PrivacyRulesPut
PrivacyStatus PrivacyWarning PrivacyWarningKind ProjectionCount ProjectionInfo ProjectionPage
ProjectionRetry ProjectionRow ProjectionTrial ReadEnd Reconnect RecordedEvent ReferenceMode
References Resolved ResolvedEvent SchemaChange SchemaCheck SchemaDifference SchemaDraft SchemaInfo
SchemaLike SchemaMode SchemaPut StaleProjection StateChange StateMismatch StreamAppend
StreamAppendLike StreamInfo SubjectEvents SubjectInfo SubjectStatus Subscription SwitchWhen
TouchedProjection TransformCopy TransformCount TransformExample TransformInfo TransformPlan
TransformSource TransformStage TransformTarget TransformTrial TransformVerification Trial
TrialProgress TypeWriter TypedEvents UnexpectedAnswer Verification Violation Watch WatchedState cel
stream_name
"""
CLIENT = """
append append_batch append_many append_pair cancel_transform check_append check_fold check_mapping
check_privacy_rules check_schema close close_stream compensate consume count_projection create_group
cut_over delete_group delete_stream drop_link drop_link_rule drop_mapping drop_privacy_rules
drop_projection emit_events erase explain export_subject find_subject get_deletion get_erasure
get_event get_fold get_group get_mapping get_privacy_rules get_privacy_status get_projection
get_receipt get_references get_referrers get_schema get_stream get_subject get_transform hydrate
hydrate_history hydrate_many hydrate_stream hydrate_union list_categories list_deleted_streams
list_deletions list_erasures list_event_types list_folds list_groups list_legal_holds
list_link_rules list_links list_mappings list_parked list_parked_keys list_privacy_rules
list_projections list_schemas list_streams list_subjects list_transform_streams list_transforms
plan_delete plan_erase purge_parked put_category put_event_type put_fold put_legal_hold put_link
put_link_rule put_mapping put_privacy_rules put_projection put_schema query_projection
query_projection_page read read_aggregate read_all readmit_subject rebuild_projection
release_legal_hold replay_parked reset_group retry retry_projection rotate_data_key rotate_data_keys
rotate_master_key start_transform subscribe switch_projection target try_projection
verify_projection wait_deletion wait_erasure wait_projection wait_transform watch
"""
READER = "close end to_list"
SUBSCRIPTION = "close frames head is_caught_up place position resume_token"
WATCH = "close version"
CONSUMER = "close deliveries delivery run session"
DELIVERY = "ack attempt confirm event extend is_open park retry skip was_parked"


def public(thing: object) -> set[str]:
    # pytest adds names with an `@` to the modules of the plugin's distribution.
    return {name for name in dir(thing) if not name.startswith(("_", "@"))}


def test_public_names() -> None:
    errors = {cls.__name__ for cls in BY_REASON.values()}
    assert set(eventfold.__all__) == set(PUBLIC.split()) | errors
    assert len(eventfold.__all__) == len(set(eventfold.__all__))


def test_no_module_leaks_a_name_that_is_not_public() -> None:
    modules = {name for name in public(eventfold) if inspect.ismodule(getattr(eventfold, name))}
    assert public(eventfold) - modules == set(eventfold.__all__) - {"cel"}
    parts = {"cel", "checkpoint", "integrations", "projection", "v1", "testing", "cli"}
    assert modules <= parts


def test_methods() -> None:
    assert public(eventfold.Client) == set(CLIENT.split())
    assert public(eventfold.EventReader) == set(READER.split())
    assert public(eventfold.Subscription) == set(SUBSCRIPTION.split())
    assert public(eventfold.Watch) == set(WATCH.split())
    assert public(eventfold.Consumer) == set(CONSUMER.split())
    # The attributes of an object are no names of its class.
    assert public(eventfold.Delivery) == set(DELIVERY.split()) - {"attempt", "event"}


def test_both_clients_offer_the_same() -> None:
    for sync, twin in [
        (eventfold.Client, eventfold.AsyncClient),
        (eventfold.EventReader, eventfold.AsyncEventReader),
        (eventfold.Subscription, eventfold.AsyncSubscription),
        (eventfold.Watch, eventfold.AsyncWatch),
        (eventfold.Consumer, eventfold.AsyncConsumer),
        (eventfold.Delivery, eventfold.AsyncDelivery),
    ]:
        assert {name.replace("aclose", "close") for name in public(twin)} == public(sync)
        for name in public(sync) - {"close"}:
            if isinstance(getattr(sync, name), property):
                continue
            ours = inspect.signature(getattr(sync, name))
            theirs = inspect.signature(getattr(twin, name))
            assert list(ours.parameters.values())[1:] == list(theirs.parameters.values())[1:] or (
                # There `decide` may be a coroutine function, and the appends come asynchronously.
                name in ("retry", "append_batch", "consume", "run")
            )


def test_every_public_thing_is_documented() -> None:
    for name in eventfold.__all__:
        thing = getattr(eventfold, name)
        if inspect.isclass(thing):
            assert inspect.getdoc(thing), name
            for method in public(thing) - public(OSError):
                # Fields of a dataclass are described in the docstring of the class.
                is_field = f"    {method}: " in (thing.__doc__ or "")
                documented = is_field or inspect.getdoc(getattr(thing, method))
                assert documented, f"{name}.{method}"

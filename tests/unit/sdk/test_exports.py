"""Goal: public names change only on purpose.

Method: the list stands here in full, apart from the classes of the catalogue of errors.
"""

from __future__ import annotations

import inspect

import eventfold
from eventfold._generated.errors import BY_REASON

PUBLIC = """
ANY AppendResult AsyncClient AsyncConsumer AsyncDelivery AsyncEventReader AsyncSubscription
AsyncWatch CheckResult Checks ChecksFailed Client ConnectionFailed Consumer Delivery Direction
Document EXISTS Event EventFlags EventReader EventfoldError Expect ExpectedVersion ExplainedEvent
FailedCheck Fold FoldInfo FoldLike FoldReport Frame FrameKind Freshness Generation GenerationState
Group GroupConsumer GroupSettings GroupStatus Handlers HistoricState Hydrated HydratedMany
InsecureConnection InvalidValue Lifecycle OnPark OnReconnect ParkCause ParkedEvent ParkedKey Place
ProjectionCount ProjectionInfo ProjectionPage ProjectionRetry ProjectionRow ProjectionTrial ReadEnd
Reconnect RecordedEvent StateChange StateMismatch StreamAppend StreamAppendLike StreamInfo
Subscription SwitchWhen UnexpectedAnswer Verification Watch WatchedState cel stream_name
"""
CLIENT = """
append append_batch append_many check_append check_fold close consume count_projection create_group
delete_group drop_projection emit_events explain get_event get_fold get_group get_projection
get_stream hydrate hydrate_history hydrate_many hydrate_stream list_folds list_groups list_parked
list_parked_keys list_projections list_streams purge_parked put_fold put_projection query_projection
query_projection_page read read_aggregate read_all rebuild_projection replay_parked reset_group
retry retry_projection subscribe switch_projection target try_projection verify_projection
wait_projection watch
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
    assert modules <= {"cel", "checkpoint", "projection", "v1", "testing", "cli"}


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

"""Which permission a call needs. An RPC without a row here refuses to boot."""

from collections.abc import Iterable

from eventfold_server.domain.requests import PERSONAL

READ = "read"
WRITE = "write"
ADMIN = "admin"
ALL = frozenset({READ, WRITE, ADMIN, PERSONAL})

# None: anyone may call, without a token too.
PERMISSIONS: dict[str, str | None] = {
    "/eventfold.v1.ConsumerGroups/Consume": READ,
    "/eventfold.v1.ConsumerGroups/CreateGroup": ADMIN,
    "/eventfold.v1.ConsumerGroups/DeleteGroup": ADMIN,
    "/eventfold.v1.ConsumerGroups/GetGroup": READ,
    "/eventfold.v1.ConsumerGroups/ListGroups": READ,
    "/eventfold.v1.ConsumerGroups/ListParked": READ,
    "/eventfold.v1.ConsumerGroups/PurgeParked": ADMIN,
    "/eventfold.v1.ConsumerGroups/ReplayParked": ADMIN,
    "/eventfold.v1.ConsumerGroups/ResetGroup": ADMIN,
    "/eventfold.v1.Deletion/DeleteStream": ADMIN,
    "/eventfold.v1.Deletion/GetDeletion": ADMIN,
    "/eventfold.v1.Deletion/ListDeletions": ADMIN,
    "/eventfold.v1.Deletion/PlanDelete": ADMIN,
    "/eventfold.v1.EventStore/Append": WRITE,
    "/eventfold.v1.EventStore/AppendMany": WRITE,
    "/eventfold.v1.EventStore/AppendSession": WRITE,
    "/eventfold.v1.EventStore/CheckAppend": WRITE,
    "/eventfold.v1.EventStore/CloseStream": WRITE,
    "/eventfold.v1.EventStore/Compensate": WRITE,
    "/eventfold.v1.EventStore/GetEvent": READ,
    "/eventfold.v1.EventStore/GetStream": READ,
    "/eventfold.v1.EventStore/ListStreams": READ,
    "/eventfold.v1.EventStore/Read": READ,
    "/eventfold.v1.EventStore/ReadAll": READ,
    "/eventfold.v1.EventTypes/CheckMapping": READ,
    "/eventfold.v1.EventTypes/CheckSchema": READ,
    "/eventfold.v1.EventTypes/DropMapping": ADMIN,
    "/eventfold.v1.EventTypes/GetMapping": READ,
    "/eventfold.v1.EventTypes/GetSchema": READ,
    "/eventfold.v1.EventTypes/ListCategories": READ,
    "/eventfold.v1.EventTypes/ListEventTypes": READ,
    "/eventfold.v1.EventTypes/ListMappings": READ,
    "/eventfold.v1.EventTypes/ListSchemas": READ,
    "/eventfold.v1.EventTypes/PutCategory": ADMIN,
    "/eventfold.v1.EventTypes/PutEventType": ADMIN,
    "/eventfold.v1.EventTypes/PutMapping": ADMIN,
    "/eventfold.v1.EventTypes/PutSchema": ADMIN,
    "/eventfold.v1.Erasures/Erase": ADMIN,
    "/eventfold.v1.Erasures/GetErasure": ADMIN,
    "/eventfold.v1.Erasures/ListErasures": ADMIN,
    "/eventfold.v1.Erasures/ListLegalHolds": ADMIN,
    "/eventfold.v1.Erasures/PlanErase": ADMIN,
    "/eventfold.v1.Erasures/PutLegalHold": ADMIN,
    "/eventfold.v1.Erasures/ReleaseLegalHold": ADMIN,
    "/eventfold.v1.Folds/CheckFold": READ,
    "/eventfold.v1.Folds/Explain": READ,
    "/eventfold.v1.Folds/GetFold": READ,
    "/eventfold.v1.Folds/Hydrate": READ,
    "/eventfold.v1.Folds/HydrateHistory": READ,
    "/eventfold.v1.Folds/HydrateMany": READ,
    "/eventfold.v1.Folds/ListFolds": READ,
    "/eventfold.v1.Folds/PutFold": ADMIN,
    "/eventfold.v1.Folds/Watch": READ,
    "/eventfold.v1.Privacy/CheckPrivacyRules": READ,
    "/eventfold.v1.Privacy/DropPrivacyRules": ADMIN,
    "/eventfold.v1.Privacy/GetPrivacyRules": READ,
    "/eventfold.v1.Privacy/ListPrivacyRules": READ,
    "/eventfold.v1.Privacy/PutPrivacyRules": ADMIN,
    "/eventfold.v1.Keys/GetSubject": ADMIN,
    "/eventfold.v1.Keys/ListSubjects": ADMIN,
    "/eventfold.v1.Keys/ReadmitSubject": ADMIN,
    "/eventfold.v1.Keys/RotateDataKey": ADMIN,
    "/eventfold.v1.Keys/RotateMasterKey": ADMIN,
    "/eventfold.v1.Links/DropLink": ADMIN,
    "/eventfold.v1.Links/DropLinkRule": ADMIN,
    "/eventfold.v1.Links/ListLinkRules": READ,
    "/eventfold.v1.Links/ListLinks": READ,
    "/eventfold.v1.Links/PutLink": ADMIN,
    "/eventfold.v1.Links/PutLinkRule": ADMIN,
    "/eventfold.v1.Projections/CountProjection": READ,
    "/eventfold.v1.Projections/DropProjection": ADMIN,
    "/eventfold.v1.Projections/GetProjection": READ,
    "/eventfold.v1.Projections/ListParkedKeys": READ,
    "/eventfold.v1.Projections/ListProjections": READ,
    "/eventfold.v1.Projections/PutProjection": ADMIN,
    "/eventfold.v1.Projections/QueryProjection": READ,
    "/eventfold.v1.Projections/RebuildProjection": ADMIN,
    "/eventfold.v1.Projections/RetryProjection": ADMIN,
    "/eventfold.v1.Projections/SwitchProjection": ADMIN,
    "/eventfold.v1.Projections/TryProjection": READ,
    "/eventfold.v1.Projections/VerifyProjection": READ,
    "/eventfold.v1.References/GetReferences": READ,
    "/eventfold.v1.References/GetReferrers": READ,
    "/eventfold.v1.Subjects/ExportSubject": PERSONAL,
    "/eventfold.v1.Subjects/FindSubject": PERSONAL,
    "/eventfold.v1.Subjects/GetPrivacyStatus": ADMIN,
    "/eventfold.v1.Subscriptions/Subscribe": READ,
    "/eventfold.v1.Transforms/AppendCopies": ADMIN,
    "/eventfold.v1.Transforms/CancelTransform": ADMIN,
    "/eventfold.v1.Transforms/CutOver": ADMIN,
    "/eventfold.v1.Transforms/DigestCopies": READ,
    "/eventfold.v1.Transforms/GetTransform": READ,
    "/eventfold.v1.Transforms/ListTransforms": READ,
    "/eventfold.v1.Transforms/StartTransform": ADMIN,
    "/grpc.health.v1.Health/Check": None,
    "/grpc.health.v1.Health/List": None,
    "/grpc.health.v1.Health/Watch": None,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": READ,
}


class PermissionTableError(Exception):
    """The table and the services that the server offers do not fit each other."""


def check_table(methods: Iterable[str]) -> None:
    """Refuses a method without a row in the table."""
    missing = sorted(set(methods) - PERMISSIONS.keys())
    if missing:
        raise PermissionTableError(f"no permission is declared for {', '.join(missing)}")

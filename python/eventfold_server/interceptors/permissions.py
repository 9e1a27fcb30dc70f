"""Which permission a call needs. An RPC without a row here refuses to boot."""

from collections.abc import Iterable

READ = "read"
WRITE = "write"
ADMIN = "admin"
PERSONAL = "personal"
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
    "/eventfold.v1.EventStore/Append": WRITE,
    "/eventfold.v1.EventStore/AppendMany": WRITE,
    "/eventfold.v1.EventStore/AppendSession": WRITE,
    "/eventfold.v1.EventStore/CheckAppend": WRITE,
    "/eventfold.v1.EventStore/GetEvent": READ,
    "/eventfold.v1.EventStore/GetStream": READ,
    "/eventfold.v1.EventStore/ListStreams": READ,
    "/eventfold.v1.EventStore/Read": READ,
    "/eventfold.v1.EventStore/ReadAll": READ,
    "/eventfold.v1.Folds/CheckFold": READ,
    "/eventfold.v1.Folds/Explain": READ,
    "/eventfold.v1.Folds/GetFold": READ,
    "/eventfold.v1.Folds/Hydrate": READ,
    "/eventfold.v1.Folds/HydrateHistory": READ,
    "/eventfold.v1.Folds/HydrateMany": READ,
    "/eventfold.v1.Folds/ListFolds": READ,
    "/eventfold.v1.Folds/PutFold": ADMIN,
    "/eventfold.v1.Folds/Watch": READ,
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
    "/eventfold.v1.Subscriptions/Subscribe": READ,
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

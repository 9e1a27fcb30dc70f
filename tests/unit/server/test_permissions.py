"""Goal: no method exists whose permission nobody decided on.

Method: the table against the services that the proto and gRPC's own modules declare.
"""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from eventfold.v1 import (
    consumer_groups_pb2,
    deletion_pb2,
    erasure_pb2,
    event_store_pb2,
    event_types_pb2,
    folds_pb2,
    keys_pb2,
    links_pb2,
    privacy_pb2,
    projections_pb2,
    references_pb2,
    subjects_pb2,
    subscriptions_pb2,
    transforms_pb2,
)
from eventfold_server.config import ServerConfig
from eventfold_server.interceptors import permissions
from eventfold_server.interceptors.permissions import ALL, PERMISSIONS, PermissionTableError
from eventfold_server.server import Server, methods_of
from eventfold_server.storage.database import Database

FILES = (
    consumer_groups_pb2,
    deletion_pb2,
    erasure_pb2,
    event_store_pb2,
    event_types_pb2,
    folds_pb2,
    keys_pb2,
    privacy_pb2,
    links_pb2,
    projections_pb2,
    references_pb2,
    subjects_pb2,
    subscriptions_pb2,
    transforms_pb2,
    health_pb2,
    reflection_pb2,
)
DECLARED = {
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in methods_of(service)
}


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    assert set(PERMISSIONS) == DECLARED


def test_every_permission_is_one_that_tokens_can_have() -> None:
    assert {permission for permission in PERMISSIONS.values() if permission} <= ALL


def test_only_health_is_for_everyone() -> None:
    free = {method for method, permission in PERMISSIONS.items() if permission is None}
    assert all(method.startswith("/grpc.health.v1.Health/") for method in free)


@pytest.mark.parametrize("method", sorted(DECLARED))
async def test_a_method_without_a_row_refuses_to_boot(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ServerConfig(listen="127.0.0.1:0", database_url="postgresql://127.0.0.1/none")
    database = Database("postgresql://127.0.0.1/none", "eventfold")
    Server(config, database)
    rows = {name: row for name, row in PERMISSIONS.items() if name != method}
    monkeypatch.setattr(permissions, "PERMISSIONS", rows)
    with pytest.raises(PermissionTableError, match=method.replace(".", r"\.")):
        Server(config, database)

"""Assembles the gRPC server: services, what stands around them, health and reflection."""

import asyncio
import inspect
import ipaddress
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from eventfold_server import limits
from eventfold_server.config import ConfigError, ServerConfig
from eventfold_server.domain.privacy.keys import PersonalKeys
from eventfold_server.embedded import FIXED_SETTINGS
from eventfold_server.errors import Refusal
from eventfold_server.interceptors.certificates import Certificate
from eventfold_server.interceptors.guard import Context, Guard, abort
from eventfold_server.interceptors.identity import Identities
from eventfold_server.interceptors.leavers import keep_quiet_about_leavers
from eventfold_server.interceptors.permissions import check_table
from eventfold_server.metrics import Metrics
from eventfold_server.services.health import Health
from eventfold_server.storage.database import Database
from eventfold_server.storage.keys.providers.choosing import check_key_options
from eventfold_server.storage.remote import RemoteStore
from eventfold_server.store import Store
from eventfold_server.targets import read_targets

log = logging.getLogger(__name__)

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", limits.MESSAGE_RECEIVE_BYTES_MAX),
    ("grpc.max_concurrent_streams", limits.CONCURRENT_STREAMS_PER_CONNECTION_MAX),
    # A client that is gone without a word is noticed within 80 s.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Clients may ping twice a minute, calls or not; more often is abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


# A host, an IPv4 address, or an IPv6 one in brackets; then a port.
_LISTEN = re.compile(r"([^\[\]:/\s]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def methods_of(service: Any) -> list[str]:
    """Full names of a service's methods, as gRPC has them."""
    return [f"/{service.full_name}/{method.name}" for method in service.methods]


def _serialised(answer: Any) -> bytes:
    """The answer as bytes, which the core may have made of it already."""
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _handlers(guard: Guard, descriptor: Any, service: object) -> grpc.GenericRpcHandler:
    """Handlers of every method of the service; each must be implemented under its name in
    snake case. Requests are decoded by the guard, once the caller is known, but for the methods in
    `RAW` of the service, which get the bytes. Streams of answers come as bytes that are serialised
    already, and single answers may.
    """
    handlers: dict[str, Any] = {}
    for method in descriptor.methods:
        function = getattr(service, _snake_case(method.name))
        full_name = f"/{descriptor.full_name}/{method.name}"
        # Requests come as bytes: the guard parses them, and refuses what is no message.
        parse = method.input_type._concrete_class.FromString
        if method.name in getattr(service, "RAW", ()):
            parse = bytes
        if method.client_streaming:
            assert method.server_streaming
            handlers[method.name] = grpc.stream_stream_rpc_method_handler(
                guard.bidirectional(full_name, parse, function)
            )
            continue
        if method.server_streaming:
            handlers[method.name] = grpc.unary_stream_rpc_method_handler(
                guard.streamed(full_name, parse, function)
            )
            continue
        assert inspect.iscoroutinefunction(function)
        handlers[method.name] = grpc.unary_unary_rpc_method_handler(
            guard.unary(full_name, parse, function),
            response_serializer=_serialised,
        )
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


class _GuardedReflection(reflection.aio.ReflectionServicer):
    """Reflection for callers who may read."""

    def __init__(self, guard: Guard, names: list[str]) -> None:
        super().__init__(names)  # type: ignore[no-untyped-call]
        self._guard = guard

    # The name is gRPC's; the stubs take the generator for a coroutine.
    async def ServerReflectionInfo(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[Any], context: Context
    ) -> AsyncIterator[Any]:
        try:
            self._guard.admit(methods_of(_REFLECTION)[0], context)
        except Refusal as refusal:
            await abort(context, refusal)
        replies: Any = super().ServerReflectionInfo(request_iterator, context)
        async for reply in replies:
            yield reply


def is_loopback(listen: str) -> bool:
    """Whether an address `host:port` is reached from this machine only."""
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_config(config: ServerConfig) -> None:
    """Refuses options that contradict each other or are not safe together."""
    if bool(config.tls_cert) != bool(config.tls_key):
        raise ConfigError("--tls-cert and --tls-key go together")
    if (config.data_dir is None) == (config.database_url is None):
        raise ConfigError("one of --data-dir and --database-url is needed, not both")
    if config.postgres_settings and config.data_dir is None:
        raise ConfigError("--postgres-setting is for the embedded PostgreSQL of --data-dir")
    if fixed := FIXED_SETTINGS & {name.lower() for name in config.postgres_settings}:
        raise ConfigError(f"--postgres-setting cannot change {', '.join(sorted(fixed))}")
    if config.pooler not in (None, "transaction"):
        raise ConfigError(f"--pooler takes transaction, not {config.pooler!r}")
    if config.pooler is not None and config.database_url is None:
        raise ConfigError("--pooler goes with --database-url")
    if (config.pooler is None) != (config.direct_database_url is None):
        raise ConfigError("--pooler and --direct-database-url go together")
    if not _LISTEN.fullmatch(config.listen) or int(config.listen.rpartition(":")[2]) > 65535:
        raise ConfigError(f"--listen takes HOST:PORT (IPv6 as [HOST]:PORT), not {config.listen!r}")
    if not 1 <= config.workers <= limits.WORKERS_MAX:
        raise ConfigError(f"--workers is 1 to {limits.WORKERS_MAX}, not {config.workers}")
    protected = config.tls_cert is not None and config.token_file is not None
    if not protected and not config.insecure and not is_loopback(config.listen):
        raise ConfigError(
            f"{config.listen} is not a loopback address: it needs --tls-cert, --tls-key and "
            "--token-file, or --insecure"
        )
    # Before a database is started, which takes its time.
    Identities(config.token_file)
    _certificate(config)
    _check_metrics(config)
    for address in read_targets(config.transform_targets).values():
        RemoteStore(address)
    check_key_options(config)


def _check_metrics(config: ServerConfig) -> None:
    listen = config.metrics_listen
    if listen is None:
        return
    if not _LISTEN.fullmatch(listen) or int(listen.rpartition(":")[2]) > 65535:
        raise ConfigError(f"--metrics-listen takes HOST:PORT (IPv6 as [HOST]:PORT), not {listen!r}")
    if config.workers > 1 and listen.endswith(":0"):
        raise ConfigError("--metrics-listen needs a port that all --workers share, not 0")


def _certificate(config: ServerConfig) -> Certificate | None:
    """What TLS needs; None: plaintext."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    return Certificate(config.tls_cert, config.tls_key)


class Server:
    """One gRPC server on one store."""

    def __init__(
        self, config: ServerConfig, database: Database, *, share_address: bool = False
    ) -> None:
        """Nothing is opened yet; raises ConfigError, TokenFileError, PermissionTableError.

        `share_address`: other workers listen on the address too, and somebody holds it for them.
        """
        keep_quiet_about_leavers()
        check_config(config)
        self._config = config
        self._identities = Identities(config.token_file)
        self._certificate = _certificate(config)
        keys = PersonalKeys(config, database)
        self._guard = Guard(self._identities, keys.may_leave)
        self._server = grpc.aio.server(
            # Otherwise two servers on one port would share its connections in silence.
            options=[*_OPTIONS, ("grpc.so_reuseport", int(share_address))],
            maximum_concurrent_rpcs=limits.CONCURRENT_RPCS_MAX,
        )
        targets = read_targets(config.transform_targets)
        self._store = Store(database, targets, keys)
        self._offer(self._store.services, database)
        self._metrics: Metrics | None = None
        if config.metrics_listen is not None:
            self._metrics = Metrics(
                config.metrics_listen, self._store.monitor, share_address=share_address
            )

    def _offer(self, services: list[tuple[Any, object]], database: Database) -> None:
        """Has the server answer the services, each told with its module, and what gRPC itself
        defines.
        """
        own = []
        for module, service in services:
            [descriptor] = module.DESCRIPTOR.services_by_name.values()
            own.append((descriptor, service))
        described = [*(descriptor for descriptor, _ in own), _HEALTH, _REFLECTION]
        check_table(method for descriptor in described for method in methods_of(descriptor))
        self._names = [descriptor.full_name for descriptor, _ in own]
        self._health = Health(self._names, database.ping)
        self._server.add_generic_rpc_handlers(
            tuple(_handlers(self._guard, descriptor, service) for descriptor, service in own)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._reflection_on():
            names = [*self._names, _HEALTH.full_name, _REFLECTION.full_name]
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
                _GuardedReflection(self._guard, names), self._server
            )

    def _reflection_on(self) -> bool:
        if self._config.reflection is not None:
            return self._config.reflection
        return self._config.tls_cert is None and is_loopback(self._config.listen)

    async def start(self) -> str:
        """Listens; returns `host:port`, with the port that was chosen where 0 was asked for."""
        host = self._config.listen.rpartition(":")[0]
        try:
            if self._certificate is None:
                port = self._server.add_insecure_port(self._config.listen)
            else:
                port = self._server.add_secure_port(
                    self._config.listen, self._certificate.credentials()
                )
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on {self._config.listen}: is the port in use, or the address not "
                "of this machine?"
            ) from error
        await self._store.open()
        await self._server.start()
        self._store.begin_work()
        await self._health.start()
        if self._metrics is not None:
            self._metrics.start()
        return f"{host}:{port}"

    async def wait_ended(self) -> None:
        """Returns never: a single server ends by signals only."""
        await asyncio.Event().wait()

    def reload(self) -> None:
        """Reads the token file and the certificate again."""
        self._identities.reload()
        self._guard.admit_again()
        if self._certificate is not None:
            self._certificate.reload()

    async def stop(self) -> None:
        """Refuses new calls, lets those under way end within the grace, then cuts them off."""
        self._guard.shut_down()
        if self._metrics is not None:
            await self._metrics.stop()
        await self._store.end_work()
        await self._health.stop()
        await self._server.stop(self._config.grace_s)
        await self._store.close()

"""Metrics for Prometheus, over HTTP.

They come from the databases and not from this process: whichever of several workers or servers of
one store is asked tells the same, and all workers share one port. No figure is of a person.
"""

import asyncio
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from eventfold_server.config import ConfigError
from eventfold_server.domain.privacy.status import PrivacyMonitor, PrivacyStatus
from eventfold_server.errors import Refusal
from eventfold_server.limits import METRICS_S_MAX
from eventfold_server.storage.keys.store import SubjectStatus

log = logging.getLogger(__name__)


class Metrics:
    """Tells the metrics of one server on an address."""

    def __init__(self, listen: str, monitor: PrivacyMonitor, *, share_address: bool) -> None:
        """Nothing is opened yet. `share_address`: other workers listen on it too."""
        self._listen = listen
        self._monitor = monitor
        self._share = share_address
        self._server: WSGIServer | None = None

    def start(self) -> None:
        """Begins to listen, on a thread of its own; raises ConfigError."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self._monitor, asyncio.get_running_loop()))
        host, _, port = self._listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type(
            "_Shared", (_Server,), {"address_family": family, "allow_reuse_port": self._share}
        )
        try:
            self._server = kind((host.strip("[]"), int(port)), _Quiet)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self._listen} for metrics: {error.strerror}"
            ) from error
        self._server.set_app(make_wsgi_app(registry))
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        log.info("metrics are on http://%s:%d/metrics", host, self._server.server_port)

    async def stop(self) -> None:
        """Ends it."""
        if self._server is not None:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()
            self._server = None


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without asking for the name of this machine, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    # Of a client that says nothing.
    timeout = METRICS_S_MAX

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base's
        """Scrapes are no news."""


class _Collector(Collector):
    """Asks the event loop for figures, from the thread of a request."""

    def __init__(self, monitor: PrivacyMonitor, loop: asyncio.AbstractEventLoop) -> None:
        self._monitor = monitor
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """The metrics of now; where figures cannot be had, only that this is so."""
        future = asyncio.run_coroutine_threadsafe(self._monitor.recent_status(), self._loop)
        status: PrivacyStatus | None = None
        up = 1
        try:
            status = future.result(METRICS_S_MAX)
        except (Refusal, TimeoutError, CancelledError, RuntimeError, OSError) as error:
            future.cancel()
            log.warning("no figures for metrics: %s", type(error).__name__)
            up = 0
        yield GaugeMetricFamily(
            "eventfold_up", "Whether the figures of the store could be looked up.", up
        )
        if status is not None:
            yield from _families(status, time.time())


def _families(status: PrivacyStatus, now: float) -> Iterator[Metric]:
    figures = status.figures
    subjects = GaugeMetricFamily(
        "eventfold_privacy_subjects", "Subjects of the key store by status.", labels=["status"]
    )
    for known in SubjectStatus:
        subjects.add_metric([known.name.lower()], status.subjects.get(known, 0))
    yield subjects
    versions = GaugeMetricFamily(
        "eventfold_privacy_subjects_by_key_version",
        "Active subjects by the newest version of their data key.",
        labels=["version"],
    )
    for version, count in status.key_versions.items():
        versions.add_metric([str(version)], count)
    yield versions
    keys = GaugeMetricFamily(
        "eventfold_privacy_data_keys",
        "Data keys by the master key that wraps them.",
        labels=["master_key"],
    )
    for name, count in status.master_keys.items():
        keys.add_metric([name], count)
    yield keys
    erasures = GaugeMetricFamily(
        "eventfold_privacy_erasures", "Erasures by whether they are done.", labels=["state"]
    )
    erasures.add_metric(["open"], figures.open)
    erasures.add_metric(["done"], figures.done)
    yield erasures
    oldest = 0.0
    if figures.oldest_open_at is not None:
        oldest = max(0.0, now - figures.oldest_open_at.timestamp())
    yield GaugeMetricFamily(
        "eventfold_privacy_oldest_open_erasure_seconds",
        "Age of the oldest erasure that is not done; 0: there is none.",
        oldest,
    )
    yield CounterMetricFamily(
        "eventfold_privacy_failed_openings",
        "Events whose sealed values could not be opened although they should.",
        figures.failed_openings,
    )
    yield CounterMetricFamily(
        "eventfold_privacy_exports", "Exports of subjects that were begun.", figures.exports
    )
    yield GaugeMetricFamily(
        "eventfold_privacy_servers",
        "Server processes with a lease to use keys.",
        figures.servers,
    )
    yield GaugeMetricFamily(
        "eventfold_privacy_index_lag_events",
        "Events that the subject index does not know yet.",
        max(0, figures.head - figures.indexed_position),
    )
    yield GaugeMetricFamily(
        "eventfold_log_head_position", "Position of the newest event.", figures.head
    )

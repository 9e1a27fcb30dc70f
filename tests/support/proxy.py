"""A TCP proxy that cuts its connections when it is told to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_RECEIVED_BYTES = 64 * 1024


class Proxy:
    """Hands bytes to and fro; `cut` ends every connection as a broken line would."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens, `host:port`."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(_RECEIVED_BYTES):
                sink.sendall(received)
        self._end({source, sink})

    def _end(self, sockets: set[socket.socket]) -> None:
        with self._lock:
            self._sockets -= sockets
        for one in sockets:
            # With a reset, so that the other side sees it at once.
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def cut(self) -> None:
        """Ends all connections; new ones are taken again."""
        self.cuts += 1
        self._end(set(self._sockets))

    def close(self) -> None:
        """Ends all, for good."""
        self._listener.close()
        self._end(set(self._sockets))


@contextlib.contextmanager
def cutting(upstream: str) -> Iterator[Proxy]:
    """A proxy before a server."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()

"""`StoreHost`: a server process for tests, with a fresh store in a moment."""

import contextlib
import importlib.util
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

# The first start makes a cluster and may have to unpack binaries; the rest takes a moment.
_START_TIMEOUT_S = 240.0
_ANSWER_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0
_LOG_TAIL_BYTES = 4_000


class StoreHostError(Exception):
    """The server process for tests did not start, or did not do what it was asked for."""


class StoreHost:
    """A server process that opens and drops stores, each in a schema of its own.

    It ends with `close`, with the end of its `with` block, and with the process that made it.

    Args:
        database_url: URL of a PostgreSQL whose user may create schemas. Default: an embedded one
            in a temporary folder.

    Raises:
        StoreHostError: the server part is not installed, or the process did not start; the text
            has the end of its log.
    """

    def __init__(self, database_url: str | None = None) -> None:
        if importlib.util.find_spec("eventfold_server") is None:
            raise StoreHostError("tests with a server need the extra: eventfold[server]")
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="eventfold-testing-"))
        # PostgreSQL refuses to run as root, and another user has to enter the folder.
        self._folder.chmod(0o711)
        self._log = self._folder / "host.log"
        options = {"data_dir": str(self._folder / "data")}
        if database_url is not None:
            options = {"database_url": database_url}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "eventfold.testing._host"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: IO[bytes] = self._process.stdin
        self._answers: queue.Queue[bytes] = queue.Queue()
        reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), name="eventfold-host", daemon=True
        )
        reader.start()
        try:
            self._ask(options, _START_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def store(self) -> Iterator[str]:
        """An empty store; gives its address, `host:port`, and drops it at the end.

        Raises:
            StoreHostError: it could not be made.
        """
        name = f"test_{uuid.uuid4().hex}"
        target: str = self._ask({"open": name})["target"]
        try:
            yield target
        finally:
            self._ask({"drop": name})

    def close(self) -> None:
        """Ends the process, its stores and its embedded PostgreSQL; twice is allowed."""
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, output: IO[bytes]) -> None:
        # An empty line tells the end of the output.
        with contextlib.suppress(ValueError, OSError):
            for line in output:
                self._answers.put(line)
        self._answers.put(b"")

    def _ask(self, request: dict[str, str], timeout_s: float = _ANSWER_TIMEOUT_S) -> dict[str, Any]:
        with self._lock:
            try:
                self._input.write(json.dumps(request).encode() + b"\n")
                self._input.flush()
            except (OSError, ValueError) as error:
                raise self._ended() from error
            return self._wait(timeout_s)

    def _wait(self, timeout_s: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            # An answer that comes later would be taken for that of the next question.
            self._process.kill()
            text = f"the server process did not answer within {timeout_s:g} s"
            raise StoreHostError(f"{text}\n{self._log_tail()}") from None
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise StoreHostError(f"{answer['error']}\n{self._log_tail()}")
        return answer

    def _ended(self) -> StoreHostError:
        return StoreHostError(f"the server process has ended\n{self._log_tail()}")

    def _log_tail(self) -> str:
        try:
            return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""

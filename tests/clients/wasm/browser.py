"""Chromium without a window, and a server for the page that it opens."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path
from queue import Queue
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE_SECONDS_MAX = 120
STOP_SECONDS_MAX = 20
FLAGS = (
    "--headless",
    # Tests may run as root, in containers whose /dev/shm is small.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript"}
TYPES |= {".wasm": "application/wasm"}


def browser() -> str | None:
    """The command of Chromium, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def outcomes_in_browser(
    program: str, package: Path, cases: list[dict[str, Any]], folder: Path
) -> dict[str, Any]:
    """What the page says of the cases."""
    answers: Queue[dict[str, Any]] = Queue()
    lines = "\n".join(map(json.dumps, cases)).encode()

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/cases":
                self._send("text/plain", lines)
                return
            served = {"/": HERE / "page.html", "/tests/cases.mjs": HERE / "cases.mjs"}
            file = served.get(self.path)
            if self.path.startswith("/dist/") and "/" not in self.path[6:]:
                file = package / self.path[6:]
            if file is None or not file.is_file():
                self.send_error(404)
                return
            self._send(TYPES[file.suffix], file.read_bytes())

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            answers.put(json.loads(self.rfile.read(length)))
            self._send("text/plain", b"")

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        log = (folder / "browser.log").open("wb")
        # A port of its own keeps it running until it is told to end.
        command = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}"]
        process = subprocess.Popen(
            [*command, "--remote-debugging-port=0", address], stdout=log, stderr=log
        )
        try:
            return answers.get(timeout=PAGE_SECONDS_MAX)
        finally:
            process.terminate()
            process.wait(timeout=STOP_SECONDS_MAX)
            log.close()
            server.shutdown()

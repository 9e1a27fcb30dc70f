"""Who calls: bearer tokens from a file, read again on request."""

import hashlib
import logging
import re
from collections.abc import Iterable
from pathlib import Path

from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.interceptors.permissions import ALL
from eventfold_server.limits import TRACE_CONTEXT_BYTES_MAX, WRITER_BYTES_MAX

log = logging.getLogger(__name__)

ANONYMOUS = "anonymous"
_NAME = re.compile(rf"^[A-Za-z0-9._@-]{{1,{WRITER_BYTES_MAX}}}$")
_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
_BEARER = "bearer "
# What a script writes whose variable is not set.
_EMPTY_DIGEST = hashlib.sha256(b"").hexdigest()


class TokenFileError(Exception):
    """The token file cannot be read as one."""


def parse_tokens(text: str) -> dict[str, Caller]:
    """Callers by the SHA-256 of their token.

    A line is `name digest permissions`: a name of letters, digits and `._@-`, the SHA-256 of the
    token in hexadecimal, and permissions joined by commas (read, write, admin, personal). Empty
    lines and lines that begin with `#` are skipped.
    """
    callers: dict[str, Caller] = {}
    names: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = line.split()
        if len(parts) != 3:
            raise TokenFileError(f"line {number}: not `name digest permissions`")
        name, digest, granted = parts[0], parts[1].lower(), frozenset(parts[2].split(","))
        if not _NAME.match(name) or name == ANONYMOUS:
            raise TokenFileError(f"line {number}: a name has 1 to 64 of A-Z a-z 0-9 . _ @ -")
        if not _DIGEST.match(digest):
            raise TokenFileError(f"line {number}: not a SHA-256 in hexadecimal")
        if digest == _EMPTY_DIGEST:
            raise TokenFileError(f"line {number}: this is the SHA-256 of an empty token")
        if granted - ALL:
            raise TokenFileError(f"line {number}: permissions are {', '.join(sorted(ALL))}")
        if digest in callers or name in names:
            raise TokenFileError(f"line {number}: the name or the token stands there twice")
        callers[digest] = Caller(name, granted)
        names.add(name)
    return callers


class Identities:
    """Tells callers by their tokens; without a token file everyone is anonymous."""

    def __init__(self, token_file: Path | None) -> None:
        self._file = token_file
        self._callers = {} if token_file is None else _load(token_file)
        self._anonymous = Caller(ANONYMOUS, ALL)
        # Goes up when the tokens change: whoever was admitted before may not be any more.
        self.edition = 0

    def reload(self) -> None:
        """Reads the token file again; one that is broken leaves the tokens as they are."""
        if self._file is None:
            return
        try:
            self._callers = _load(self._file)
        except TokenFileError as error:
            log.error("the token file was not read again: %s", error)
        else:
            self.edition += 1
            log.info("read %d tokens from the token file", len(self._callers))

    def caller(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """The caller of a call with this metadata; UNAUTHENTICATED if there is none."""
        authorization = trace = None
        for key, value in metadata:
            if key == "authorization" and isinstance(value, str):
                if authorization is not None:
                    # Whatever stands between may look at one, and the server at the other.
                    raise Refusal(
                        "UNAUTHENTICATED", "the call has several tokens", problem="several_tokens"
                    )
                authorization = value
            elif key == "traceparent" and isinstance(value, str):
                trace = value
        caller = self._anonymous if self._file is None else self._known(authorization)
        if trace and len(trace) == TRACE_CONTEXT_BYTES_MAX and _TRACEPARENT.match(trace):
            return Caller(caller.writer, caller.permissions, trace)
        return caller

    def _known(self, authorization: str | None) -> Caller:
        if not authorization:
            raise Refusal("UNAUTHENTICATED", "the call has no token", problem="no_token")
        if not authorization.lower().startswith(_BEARER):
            raise Refusal(
                "UNAUTHENTICATED",
                "the authorization is not `Bearer` and a token",
                problem="not_bearer",
            )
        token = authorization[len(_BEARER) :].strip()
        # Looked up by digest, so that the time it takes tells nothing about stored tokens.
        caller = self._callers.get(hashlib.sha256(token.encode()).hexdigest())
        if caller is None:
            raise Refusal("UNAUTHENTICATED", "the token is not known", problem="unknown_token")
        return caller


def _load(path: Path) -> dict[str, Caller]:
    try:
        # Some editors put a byte order mark first.
        return parse_tokens(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, TokenFileError) as error:
        raise TokenFileError(f"{path}: {error}") from error

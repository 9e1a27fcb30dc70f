"""Goal: a token file means what its lines say, or is refused with the line.

Method: files drawn by hypothesis, each with its meaning; every kind of broken line.
"""

from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.interceptors.identity import Identities, TokenFileError, parse_tokens
from eventfold_server.interceptors.permissions import ALL

NAMES = st.text(string.ascii_letters + string.digits + "._@-", min_size=1, max_size=64).filter(
    lambda name: name != "anonymous"
)
PERMISSIONS = st.frozensets(st.sampled_from(sorted(ALL)), min_size=1)
SKIPPED = st.sampled_from(["", "   ", "\t", "# a comment", "  # name digest read"])
DIGEST = "ab" * 32


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[str, Caller]]:
    """A file, and the callers by token that it stands for."""
    callers = draw(
        st.dictionaries(
            st.text(min_size=1, max_size=20), st.tuples(NAMES, PERMISSIONS), max_size=8
        ).filter(lambda found: len({name for name, _ in found.values()}) == len(found))
    )
    lines = []
    for token, (name, granted) in callers.items():
        digest = hashlib.sha256(token.encode()).hexdigest()
        if draw(st.booleans()):
            digest = digest.upper()
        lines.extend(draw(st.lists(SKIPPED, max_size=2)))
        lines.append(draw(st.sampled_from([" ", "\t", "   "])).join([name, digest, *[
            ",".join(draw(st.permutations(sorted(granted))))
        ]]))  # fmt: skip
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(lines), {t: Caller(name, granted) for t, (name, granted) in callers.items()}


@given(files())
def test_a_file_means_what_its_lines_say(drawn: tuple[str, dict[str, Caller]]) -> None:
    text, callers = drawn
    expected = {hashlib.sha256(token.encode()).hexdigest(): c for token, c in callers.items()}
    assert parse_tokens(text) == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alice", "not `name digest permissions`"),
        (f"alice {DIGEST}", "not `name digest permissions`"),
        (f"alice {DIGEST} read write", "not `name digest permissions`"),
        (f"alice {DIGEST} read, write", "not `name digest permissions`"),
        (f"al/ice {DIGEST} read", "a name has"),
        (f"ålice {DIGEST} read", "a name has"),
        (f"{'a' * 65} {DIGEST} read", "a name has"),
        (f"anonymous {DIGEST} read", "a name has"),
        (f"alice {DIGEST[1:]} read", "not a SHA-256"),
        (f"alice {DIGEST}a read", "not a SHA-256"),
        (f"alice {DIGEST[1:]}g read", "not a SHA-256"),
        (f"alice sha256:{DIGEST} read", "not a SHA-256"),
        (f"alice {DIGEST} Read", "permissions are admin, personal, read, write"),
        (f"alice {DIGEST} read,", "permissions are admin, personal, read, write"),
        (f"alice {DIGEST} ,", "permissions are admin, personal, read, write"),
        (f"alice {DIGEST} all", "permissions are admin, personal, read, write"),
        (f"alice {hashlib.sha256(b'').hexdigest()} read", "an empty token"),
        (f"first {DIGEST} read", "twice"),
        (f"alice {'cd' * 32} read", "twice"),
        (f"alice {'CD' * 32} read", "twice"),
    ],
)
def test_a_broken_line_is_named(line: str, problem: str) -> None:
    before = f"# callers\nfirst {'cd' * 32} read\n\n"
    with pytest.raises(TokenFileError, match=r"^line 4: ") as refused:
        parse_tokens(before + line + "\n")
    assert problem in str(refused.value)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        callers = parse_tokens(text)
    except TokenFileError:
        return
    assert all(caller.permissions <= ALL for caller in callers.values())


@given(st.lists(st.tuples(st.text(), st.one_of(st.text(), st.binary()))))
def test_no_metadata_breaks_the_look_for_a_caller(metadata: list[tuple[str, str | bytes]]) -> None:
    caller = Identities(None).caller(metadata)
    assert (caller.writer, caller.permissions) == ("anonymous", ALL)


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), None),
        (TRACE + "-more", None),
        (TRACE[:-1], None),
        (TRACE[:-1] + "\n", None),
        ("x" * len(TRACE), None),
        ("", None),
    ],
)
def test_only_a_trace_context_in_its_form_is_kept(text: str, kept: str | None) -> None:
    assert Identities(None).caller([("traceparent", text)]).trace_context == kept


def test_a_refusal_never_tells_the_token(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    # With the mark that some editors put first.
    file.write_bytes(b"\xef\xbb\xbf" + f"alice {DIGEST} read\n".encode())
    identities = Identities(file)
    for value in ("Bearer s3cret", "s3cret", "Basic s3cret"):
        with pytest.raises(Refusal) as refused:
            identities.caller([("authorization", value)])
        assert "s3cret" not in str(refused.value) + str(refused.value.facts)

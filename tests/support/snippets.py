"""Finds the snippets of a page of the documentation, and runs them as a reader would.

A block of code is fenced by three backticks and always tagged. What the tags mean here:

- ```` ```python ```` is executed; all blocks of a page share one namespace and one working
  directory. A line `print(..)  # text` must be reached, and must print that text. Functions
  `test_..(store)` are called at the end.
- ```` ```python no-run ```` is not executed; an HTML comment before it says why.
- ```` ```yaml ```` or ```` ```python ```` whose first line is `# file: name` is written to the
  working directory, and not executed.
- ```` ```json ```` after the comment `<!-- file: name -->` is written to the working directory.
- ```` ```console ```` after the comment `<!-- run -->` has its lines `$ eventfold ..` executed.

The address that the pages name is replaced by that of the server under test.
"""

from __future__ import annotations

import builtins
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import eventfold

from .commands import Commands, Done

ADDRESS = "127.0.0.1:4141"
COMMAND = "eventfold"
COMMAND_SECONDS = 60

_COMMENT = re.compile(r"^<!--\s*(.*?)\s*-->$", re.DOTALL)
_FILE = re.compile(r"^# file: ([\w.-]+)$")
_PRINTED = re.compile(r"^\s*print\(.*\)  # (.*)$")


class SnippetError(AssertionError):
    """A page or one of its snippets is not as it should be."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    # Line of the first line of code, from 1.
    line: int
    # The words behind the backticks.
    tags: tuple[str, ...]
    text: str
    # The HTML comment right before it; empty: none.
    comment: str

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def language(self) -> str:
        """The first tag; empty: there is none."""
        return self.tags[0] if self.tags else ""

    @property
    def file(self) -> str | None:
        """The name of the file that it holds, if it says one."""
        # JSON has no comments.
        first = f"# {self.comment}" if self.language == "json" else self.text.split("\n", 1)[0]
        match = _FILE.match(first)
        return match[1] if match and self.language in ("json", "yaml", "python") else None

    @property
    def is_executed(self) -> bool:
        """Whether running the page executes it."""
        if self.language == "console":
            return self.comment == "run"
        return self.tags == ("python",) and self.file is None


def blocks(page: str, text: str) -> Iterator[Block]:
    """Yields the blocks of a page in their order."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        if not lines[number].startswith("```"):
            number += 1
            continue
        tags = tuple(lines[number].removeprefix("```").split())
        try:
            end = lines.index("```", number + 1)
        except ValueError:
            raise SnippetError(f"{page}:{number + 1}: the block has no end") from None
        body = "\n".join(lines[number + 1 : end]) + "\n"
        yield Block(page, number + 2, tags, body, _comment_before(lines[:number]))
        number = end + 1


def _comment_before(lines: list[str]) -> str:
    """The comment that ends right above, over one line or several."""
    above = "\n".join(lines).rstrip()
    if not above.endswith("-->"):
        return ""
    match = _COMMENT.match(above[above.rindex("<!--") :])
    return match[1] if match else ""


def faults(block: Block) -> Iterator[str]:
    """Yields what is wrong with the form of a block."""
    if not block.language:
        yield f"{block.place}: a block of code needs a tag"
    if block.language == "python" and block.tags not in (("python",), ("python", "no-run")):
        yield f"{block.place}: `{' '.join(block.tags)}` is not a known tag"
    if block.tags == ("python", "no-run") and len(block.comment.split()) < 3:
        yield f"{block.place}: an HTML comment before it must say why it is not run"


@dataclass
class Page:
    """One page under execution."""

    # Address of a server with a store that is empty.
    address: str
    # Files that the page names are made and looked for here.
    folder: Path
    commands: Commands
    # Folder of the command `eventfold`.
    bin_folder: Path = field(default_factory=lambda: Path(sys.executable).parent)
    executed: int = 0
    _commanded: bool = False

    def run(self, blocks: list[Block]) -> None:
        """Runs the blocks in order; the first that fails raises."""
        namespace: dict[str, Any] = {"__name__": "snippet"}
        try:
            # Programs find the modules beside them.
            with chdir(self.folder), pytest.MonkeyPatch.context() as patch:
                patch.syspath_prepend(str(self.folder))
                for block in blocks:
                    self._run(block, namespace)
                self._call_tests(namespace)
        finally:
            for value in namespace.values():
                if type(value).__module__.startswith("eventfold.") and type(value).__name__ == (
                    "Client"
                ):
                    value.close()

    def _call_tests(self, namespace: dict[str, Any]) -> None:
        """Calls the tests that the page defines, with the fixture `store` that they ask for."""
        for name, test in namespace.items():
            if name.startswith("test_") and callable(test):
                with eventfold.Client(self.address) as store:
                    test(store)

    def _run(self, block: Block, namespace: dict[str, Any]) -> None:
        text = block.text.replace(ADDRESS, self.address)
        if block.file is not None:
            Path(block.file).write_text(text, encoding="utf-8")
        if not block.is_executed:
            return
        self.executed += 1
        if block.language == "console":
            self._run_commands(block, text)
        else:
            run_python(block, text, namespace)

    def _run_commands(self, block: Block, text: str) -> None:
        commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        for command in commands:
            words = shlex.split(command)
            if words[0] != COMMAND:
                raise SnippetError(f"{block.place}: only `{COMMAND}` is run, not `{words[0]}`")
            done = self._done(words[1:])
            if done.returncode != 0:
                raise SnippetError(f"{block.place}: `{command}` failed: {done.stderr}")

    def _done(self, arguments: list[str]) -> Done:
        """The first command of a page is the installed one, which leads to what the others run."""
        path = os.pathsep.join([str(self.bin_folder), os.environ.get("PATH", "")])
        environment = {**os.environ, "PATH": path, "EVENTFOLD_SERVER": self.address}
        command = [str(self.bin_folder / COMMAND), *arguments]
        if self._commanded:
            return self.commands.run(command, environment, COMMAND_SECONDS)
        self._commanded = True
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


def run_python(block: Block, text: str, namespace: dict[str, Any]) -> None:
    """Executes a block; tracebacks name the page and the line in it."""
    expected = {
        block.line + offset: match[1]
        for offset, line in enumerate(text.splitlines())
        if (match := _PRINTED.match(line))
    }
    printed: dict[int, list[str]] = {}

    def noting_print(*values: object, sep: str = " ", **options: Any) -> None:
        line = sys._getframe(1).f_lineno
        printed.setdefault(line, []).append(sep.join(map(str, values)))
        builtins.print(*values, sep=sep, **options)

    namespace["print"] = noting_print
    # Not under the `annotations` of this module, which dataclasses would have to look up.
    code = compile("\n" * (block.line - 1) + text, block.page, "exec", dont_inherit=True)
    exec(code, namespace)
    for line, wanted in expected.items():
        texts = printed.get(line, [])
        if not texts:
            raise SnippetError(f"{block.page}:{line}: the line was not reached")
        if set(texts) != {wanted}:
            raise SnippetError(f"{block.page}:{line}: printed {texts}, not {wanted!r}")

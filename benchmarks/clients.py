"""What each client costs, and how long it is: `make bench-clients`.

One server; the benchmark programs of the clients run in turn, round after round, each one
connection and one call at a time. What counts is the median of the rounds, and its ratio to the
Python client's.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import stores
from pages import digits, table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "clients.md"
BASELINE = "Python"
FIGURES = {
    "append_per_s": "append 1 event, per s",
    "read_100_ms": "read 100, ms",
    "read_1000_ms": "read 1,000, ms",
    "hydrate_100_ms": "hydrate 100, ms",
    "hydrate_1000_ms": "hydrate 1,000, ms",
}


@dataclass(frozen=True)
class Candidate:
    """A client, how its program is built and run, and which files are its own."""

    name: str
    folder: str
    build: list[list[str]]
    # `{address}`, and `{seconds}` of all figures together, `{share}` of each.
    run: list[str]
    # Patterns of files that people write, and of those among them that are no part of the client.
    files: str
    others: str
    # How a line of comment begins.
    comment: str
    cwd: str = "."


CANDIDATES = [
    Candidate(
        BASELINE,
        "python/eventfold",
        [],
        [sys.executable, "benchmarks/python_client.py", "{address}", "{seconds}"],
        r"\.py$",
        r"/(_generated|_sync|v1|testing|cli|_codegen|checkpoint|integrations)/",
        r"#",
    ),
    Candidate(
        "Go",
        "clients/go",
        [["go", "build", "-o", "build/bench", "./bench"]],
        ["clients/go/build/bench", "{address}", "{share}"],
        r"\.go$",
        r"/(v1|bench|examples|internal|build)/|_test\.go$|_gen\.go$",
        r"//",
        "clients/go",
    ),
    Candidate(
        "TypeScript",
        "clients/typescript/src",
        [
            ["npm", "ci", "--ignore-scripts", "--no-progress"],
            ["node_modules/.bin/tsc", "-p", "tsconfig.json"],
            ["node_modules/.bin/tsc", "-p", "tsconfig.tests.json"],
        ],
        ["node", "clients/typescript/build/bench/bench.js", "{address}", "{seconds}"],
        r"\.ts$",
        r"/generated/",
        r"//|/?\*",
        "clients/typescript",
    ),
    Candidate(
        "Java",
        "clients/java/src/main/java",
        [["mvn", "-q", "-B", "test-compile"]],
        [
            *("mvn", "-q", "-B", "-f", "clients/java/pom.xml", "exec:java"),
            *("-Dexec.mainClass=Bench", "-Dexec.classpathScope=test"),
            "-Dexec.args={address} {share} examples/bank/account.fold.yaml",
        ],
        r"\.java$",
        r"^$",
        r"//|/?\*",
        "clients/java",
    ),
]


def lines_of_code(candidate: Candidate) -> int:
    """Lines that people wrote, without blanks, comments and docstrings."""
    total = 0
    for path in sorted((ROOT / candidate.folder).rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if not re.search(candidate.files, name) or re.search(candidate.others, name):
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = re.sub(r'(?ms)^\s*"""(?:.*?)"""$', "", text)
        total += sum(
            bool(line.strip()) and not re.match(rf"\s*(?:{candidate.comment})", line)
            for line in text.splitlines()
        )
    return total


def build(candidate: Candidate) -> None:
    """Builds its program."""
    for command in candidate.build:
        subprocess.run(command, cwd=ROOT / candidate.cwd, check=True)


def run(candidate: Candidate, address: str, seconds: float) -> dict[str, float]:
    """What its program prints."""
    share = seconds / len(FIGURES)
    done = subprocess.run(
        [part.format(address=address, seconds=seconds, share=share) for part in candidate.run],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(_object(done.stdout))
    return found


def _object(printed: str) -> str:
    """The object with the figures; a build tool may print around it, and in colours."""
    found = re.search(r"\{.*\}", printed)
    if found is None:
        raise SystemExit(f"no figures in what was printed: {printed!r}")
    return found[0]


def measure(rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """The medians of all rounds, by client and figure."""
    for candidate in CANDIDATES:
        say(f"building {candidate.name}")
        build(candidate)
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="eventfold-bench-") as name:
        # PostgreSQL's account may pass through.
        Path(name).chmod(0o711)
        with stores.eventfold(Path(name)) as server:
            for number in range(rounds):
                for candidate in CANDIDATES:
                    found = run(candidate, server.url, seconds)
                    say(f"round {number + 1}: {found}")
                    for figure in FIGURES:
                        seen[candidate.name][figure].append(found[figure])
    return {
        name: {figure: statistics.median(values) for figure, values in by_figure.items()}
        for name, by_figure in seen.items()
    }


def page(found: dict[str, dict[str, float]], rounds: int, seconds: float) -> str:
    """The page of results."""
    base = found[BASELINE]
    figures = [
        [name, *(digits(by_figure[figure]) for figure in FIGURES)]
        for name, by_figure in found.items()
    ]
    ratios = [
        [name, *(f"{by_figure[figure] / base[figure]:.2f}" for figure in FIGURES)]
        for name, by_figure in found.items()
    ]
    lengths = [[one.name, f"{lines_of_code(one):,}"] for one in CANDIDATES]
    heads = ["client", *FIGURES.values()]
    return "\n".join(
        [
            "# Clients beside each other",
            "",
            "Written by `make bench-clients`; do not edit. One server, one connection and one call",
            "at a time; events of about 200 bytes, whose data is looked at; the fold of the bank",
            f"example. Medians of {rounds} rounds of {seconds:g} s, the clients in turn. Machine:",
            f"{os.cpu_count()} cores, which server and client share.",
            "",
            table(heads, figures),
            "",
            f"Ratios to {BASELINE} (appends: above 1 is faster; times: below 1 is faster):",
            "",
            table(heads, ratios),
            "",
            "Lines that people wrote, without blanks, comments, generated code, tests, examples;",
            "of Python also without the command line, test helpers and integrations:",
            "",
            table(["client", "lines"], lengths),
            "",
        ]
    )


def main() -> None:
    """Measures, and writes the page."""
    parser = argparse.ArgumentParser(prog="benchmarks/clients.py", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of a client's round")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the page")
    options = parser.parse_args()
    found = measure(options.rounds, options.seconds, lambda line: print(line, flush=True))
    written = page(found, options.rounds, options.seconds)
    print(written)
    options.results.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()

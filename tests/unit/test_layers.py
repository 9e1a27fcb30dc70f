"""Goal: the arrows between the parts stay as CONTRIBUTING draws them.

Method: parse the imports of every module, and the manifests of every crate. Each rule is also
shown a sample that breaks it, so that a rule that finds nothing is known to be able to.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "python"
SERVER = "eventfold_server"

# Who may import a library; everyone else of the server may not. A trailing dot means a package.
MAY_IMPORT = {
    "grpc": (
        f"{SERVER}.services.",
        f"{SERVER}.interceptors.",
        f"{SERVER}.server.",
        f"{SERVER}.status.",
    ),
    "asyncpg": (f"{SERVER}.storage.",),
}
GRPC_LIBRARIES = {"grpc", "grpc_status", "grpc_health", "grpc_reflection"}
# Layers from the top: a layer may import those below it, never one above.
LAYERS = ("services", "domain", "storage")
# The SDK's doors to the server: the command that runs it, and the means to test against it.
SDK_DOORS = ("eventfold.cli.serve.", "eventfold.testing.")
# Generated stubs, for users who want these alone.
SDK_STUBS = "eventfold.v1."
# Sentences start with a capital letter alone, so that "Select one of" is no SQL.
SQL = re.compile(
    r"\s*((SELECT|select)\s|(WITH|with)\s+\w+\s+(AS|as)\s*\(|(INSERT\s+INTO|insert\s+into)\s|"
    r"(UPDATE|update)\s+\S+\s+(SET|set)\s|(DELETE\s+FROM|delete\s+from)\s|"
    r"(CREATE|create|ALTER|alter|DROP|drop)\s+(?i:or\s+replace\s+)?"
    r"(?i:unique\s+)?(?i:table|index|schema|function|trigger|view|type)\s)"
)


def module_name(path: Path, root: Path = PYTHON) -> str:
    """Returns the dotted name of a file, with a trailing dot so that prefixes end at a name."""
    parts = path.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) + "."


def imports(module: str, tree: ast.Module, *, package: bool = False) -> Iterator[str]:
    """Yields the dotted names, with a trailing dot, that a module imports, however deep inside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"{alias.name}." for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.rstrip(".").split(".")
                kept = len(parents) - node.level + (1 if package else 0)
                base = ".".join([*parents[:kept], *([base] if base else [])])
            # `from package import module` imports the module as well.
            yield from (f"{base}.{alias.name}." for alias in node.names)


def libraries_are_kept_apart(module: str, tree: ast.Module, imported: list[str]) -> Iterator[str]:
    """Only the edges of the server know gRPC, only its storage knows the database driver."""
    if not module.startswith(f"{SERVER}."):
        return
    for name in imported:
        library = name.split(".")[0]
        owner = "grpc" if library in GRPC_LIBRARIES else library
        if owner in MAY_IMPORT and not module.startswith(MAY_IMPORT[owner]):
            yield f"{module} imports {name}"


def layers_point_down(module: str, tree: ast.Module, imported: list[str]) -> Iterator[str]:
    """`services -> domain -> storage`, and only what joins the parts knows the services."""
    inside = {layer: f"{SERVER}.{layer}." for layer in LAYERS}
    at = next((i for i, layer in enumerate(LAYERS) if module.startswith(inside[layer])), None)
    for name in imported:
        if at is not None and name.startswith(tuple(inside[up] for up in LAYERS[:at])):
            yield f"{module} imports {name}, which is above it"
        elif at == 0 and name.startswith(inside["storage"]):
            yield f"{module} imports {name}, past the domain"
        elif name.startswith(inside["services"]) and not module.startswith(
            (inside["services"], *(f"{SERVER}.{one}." for one in ("server", "store")))
        ):
            yield f"{module} imports {name}, which only {SERVER}.server and .store may"


def the_sdk_stands_alone(module: str, tree: ast.Module, imported: list[str]) -> Iterator[str]:
    """Whoever installs the SDK does not install the server, and its channel is its own."""
    if not module.startswith("eventfold."):
        return
    if not module.startswith(SDK_DOORS):
        yield from (f"{module} imports {n}" for n in imported if n.startswith(f"{SERVER}."))
    if not module.startswith(SDK_STUBS):
        libraries = (name for name in imported if name.split(".")[0] in GRPC_LIBRARIES)
        yield from (f"{module} imports {name}" for name in libraries)


def sql_stays_in_files(module: str, tree: ast.Module, imported: list[str]) -> Iterator[str]:
    """Queries are in `.sql` files, where they can be read, planned and tested as SQL."""
    if not module.startswith(f"{SERVER}."):
        return
    for line, text in strings(tree):
        if SQL.match(text):
            yield f"{module} line {line} holds SQL"


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields line and text of strings; a value inside an f-string counts as the word `value`."""
    skipped: set[int] = set()
    # `walk` visits a parent before its children.
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))  # a docstring
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "value"
                    for part in node.values
                ),
            )
        elif id(node) in skipped:
            continue
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


RULES = (libraries_are_kept_apart, layers_point_down, the_sdk_stands_alone, sql_stays_in_files)


def violations(module: str, source: str, *, package: bool = False) -> list[str]:
    """Returns what a module does against the rules, each with the rule's name."""
    tree = ast.parse(source)
    imported = list(imports(module, tree, package=package))
    return [
        f"{rule.__name__}: {violation}"
        for rule in RULES
        for violation in rule(module, tree, imported)
    ]


def crates_with(prefix: str, manifests: dict[str, str]) -> list[str]:
    """Returns the crates, by folder, whose manifest depends on a package so named in any table."""
    found = []
    for folder, text in manifests.items():
        manifest = tomllib.loads(text)
        targets = manifest.get("target", {}).values()
        for table in (manifest, *targets):
            for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
                for name, value in table.get(kind, {}).items():
                    package = value.get("package", name) if isinstance(value, dict) else name
                    if package.startswith(prefix):
                        found.append(folder)
    return sorted(set(found))


def test_no_module_breaks_a_rule() -> None:
    found = []
    for path in sorted(PYTHON.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        found += violations(module_name(path), source, package=path.name == "__init__.py")
    assert not found, "\n".join(found)


def test_only_the_binding_crates_know_other_languages() -> None:
    manifests = {
        path.parent.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in (ROOT / "rust").rglob("Cargo.toml")
    }
    assert crates_with("pyo3", manifests) == ["rust/eventfold-py"]
    assert crates_with("wasm-bindgen", manifests) == ["rust/eventfold-wasm"]


@pytest.mark.parametrize(
    ("module", "source", "rule"),
    [
        ("eventfold_server.domain.append.", "import grpc", "libraries_are_kept_apart"),
        ("eventfold_server.config.", "from grpc.aio import server", "libraries_are_kept_apart"),
        ("eventfold_server.limits.", "import grpc_status.rpc_status", "libraries_are_kept_apart"),
        ("eventfold_server.server_tools.", "import grpc", "libraries_are_kept_apart"),
        ("eventfold_server.services.fold.", "import asyncpg", "libraries_are_kept_apart"),
        (
            "eventfold_server.domain.read.",
            "def f():\n    from asyncpg import connect",
            "libraries_are_kept_apart",
        ),
        (
            "eventfold_server.storage.postgres.",
            "from eventfold_server.domain import read",
            "layers_point_down",
        ),
        ("eventfold_server.storage.postgres.", "from ..domain import read", "layers_point_down"),
        (
            "eventfold_server.domain.append.",
            "from eventfold_server import services",
            "layers_point_down",
        ),
        (
            "eventfold_server.services.log.",
            "from eventfold_server.storage import postgres",
            "layers_point_down",
        ),
        ("eventfold_server.main.", "import eventfold_server.services", "layers_point_down"),
        ("eventfold.client.", "import eventfold_server.limits", "the_sdk_stands_alone"),
        ("eventfold.cli.show.", "from eventfold_server import limits", "the_sdk_stands_alone"),
        ("eventfold.cli.server.", "import eventfold_server", "the_sdk_stands_alone"),
        ("eventfold.client.", "import grpc", "the_sdk_stands_alone"),
        ("eventfold.testing.fixtures.", "from grpc import aio", "the_sdk_stands_alone"),
        ("eventfold_server.storage.a.", "q = 'SELECT id FROM events'", "sql_stays_in_files"),
        ("eventfold_server.storage.a.", "q = '\\n insert into t'", "sql_stays_in_files"),
        ("eventfold_server.domain.a.", "q = f'UPDATE {t} SET a = 1'", "sql_stays_in_files"),
        ("eventfold_server.a.", "run('DELETE FROM events')", "sql_stays_in_files"),
        ("eventfold_server.a.", "run('CREATE TABLE x (a int)')", "sql_stays_in_files"),
        ("eventfold_server.a.", "q = 'create unique index i on t (a)'", "sql_stays_in_files"),
        ("eventfold_server.a.", "q = 'WITH a AS (TABLE b) TABLE a'", "sql_stays_in_files"),
    ],
)
def test_a_rule_can_fail(module: str, source: str, rule: str) -> None:
    assert [found.split(":")[0] for found in violations(module, source)] == [rule]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("eventfold_server.services.log.", "import grpc\nfrom eventfold_server.domain import read"),
        ("eventfold_server.server.", "import grpc\nfrom eventfold_server import services"),
        ("eventfold_server.store.", "from eventfold_server.services import folds"),
        ("eventfold_server.domain.a.", "from eventfold_server.storage import postgres"),
        ("eventfold_server.storage.a.", "import asyncpg"),
        ("eventfold_server.interceptors.auth.", "import grpc"),
        ("eventfold.cli.serve.", "import eventfold_server"),
        ("eventfold.testing.fixtures.", "import eventfold_server.server"),
        ("eventfold.v1.folds_pb2_grpc.", "import grpc"),
        ("eventfold_server.a.", "problem = 'Select one of the streams, then go on.'"),
        ("eventfold_server.a.", "problem = 'Update the document: it names no fold.'"),
        ("eventfold_server.a.", "problem = 'Create a folder first.'"),
        ("eventfold_server.a.", "'SELECT in a docstring is prose.'"),
    ],
)
def test_a_rule_lets_pass(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_the_crate_rule_can_fail() -> None:
    assert crates_with("pyo3", {"a": '[dependencies]\npyo3 = "1"'}) == ["a"]
    assert crates_with("pyo3", {"a": '[target.x.dependencies]\npyo3-ffi = "1"'}) == ["a"]
    assert crates_with("pyo3", {"a": '[dev-dependencies]\np = {package = "pyo3"}'}) == ["a"]
    assert crates_with("pyo3", {"a": '[dependencies]\nserde = "1"'}) == []

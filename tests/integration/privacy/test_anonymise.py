"""Goal: copies for statistics name nobody, and still belong together.

Method: the program of the example on a real server with keys; its copies against what was told, and
searched for what must not be in them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import eventfold
from eventfold import Client

FOLDER = Path(__file__).resolve().parents[3] / "examples/anonymise"


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("anonymise_demo", FOLDER / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_names_nobody(store: Client, demo: ModuleType) -> None:
    demo.fill(store)
    copies = demo.anonymise(store)
    assert len(copies) == 5
    text = " ".join(f"{one.stream} {one.data_json!r} {one.metadata_json!r}" for one in copies)
    for word in ("Ada", "Bob", "Dr.", "4711", "4712", "x.org", "coughs", "05-31", "80331", "71.5"):
        assert word not in text
    assert not any(one.tags for one in copies)
    registered = [one.data for one in copies if one.type == "PatientRegistered"]
    assert registered == [
        {"born": "1987", "postcode": "80"},
        {"born": "1990", "postcode": "81"},
    ]
    visits = [one for one in copies if one.type == "PatientVisited"]
    assert [one.data["weight"] for one in visits] == ["[70,80)", "[70,80)", "[80,90)"]
    assert [one.data["day"] for one in visits] == ["2026-01", "2026-03", "2026-02"]
    # All of a patient stay together, and who saw both is one.
    assert visits[0].stream == visits[1].stream != visits[2].stream
    assert visits[0].data["doctor"] == visits[2].data["doctor"] != visits[1].data["doctor"]
    assert len(visits[0].data["doctor"]) == 22


@pytest.mark.parametrize("call", ["pseudonym('a', 'b')", "generalise.range(1, 2)"])
def test_only_transforms_have_these_functions(store: Client, call: str) -> None:
    fold = {"fold": "f", "initial": {"x": ""}, "handlers": {"A": {"x": call}}}
    with pytest.raises(eventfold.InvalidFold, match="only transforms have"):
        store.check_fold(fold, "Nothing")
    mapping = {"mapping": "A", "computed": {"x": call}}
    with pytest.raises(eventfold.InvalidMapping):
        store.check_mapping(mapping)

"""The transform of patches: selection, edits of lists, and instructions of conda-index."""

import time
from dataclasses import dataclass
from typing import Any

import pytest
from rattler import VersionSpec

from publishing.index.patching import Changes, Instructions, Rule, changed_index, changed_specs, changes_of, name_of


@dataclass
class Place:
    subdir: str = "noarch"
    name: str = "lib"
    version: str = "1.0"
    build: str = "py38_0"
    file_name: str = "lib-1.0-py38_0.conda"
    timestamp: int = 0


@pytest.mark.parametrize(
    ("conditions", "is_selected"),
    [
        ({}, True),
        ({"names": ["lib"]}, True),
        ({"names": ["other", "li?"]}, True),
        ({"names": ["other"]}, False),
        ({"subdirs": ["linux-64"]}, False),
        ({"version": VersionSpec(">=1,<2")}, True),
        ({"version": VersionSpec("2.*")}, False),
        ({"build": "py38*"}, True),
        ({"build": "py39*"}, False),
        ({"built_before": 1}, True),
        ({"built_before": 0}, False),
        ({"built_from": 0}, True),
        ({"built_from": 1}, False),
    ],
)
def test_rule_selects_by_every_condition(conditions: dict[str, Any], is_selected: bool) -> None:
    rule = Rule(changes={"license": "MIT"}, **conditions)
    assert bool(changes_of([rule], Place())) is is_selected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["z"], ["z"]),
        ({"add": ["six", "zlib"]}, ["numpy >=1", "zlib", "six"]),
        ({"remove": ["numpy"]}, ["zlib"]),
        ({"remove": ["numpy >=1"]}, ["zlib"]),
        ({"remove": ["numpy >=2"]}, ["numpy >=1", "zlib"]),
        ({"replace": {"numpy": "numpy >=1,<2"}}, ["numpy >=1,<2", "zlib"]),
        ({"replace": {"numpy >=2": "x"}}, ["numpy >=1", "zlib"]),
        ({"replace": {"numpy": "x", "numpy >=1": "y"}}, ["y", "zlib"]),
        ({"remove": ["zlib"], "replace": {"numpy": "zlib"}, "add": ["zlib"]}, ["zlib"]),
    ],
)
def test_specs_are_edited_by_spec_or_by_name(change: Any, expected: list[str]) -> None:
    assert changed_specs(["numpy >=1", "zlib"], change) == expected


def test_edits_of_thousands_of_specs_take_linear_time() -> None:
    specs = [f"lib{number} >=1" for number in range(2000)]
    edits = {"replace": {f"a{spec}": spec for spec in specs}, "remove": [f"b{spec}" for spec in specs], "add": specs}
    began = time.process_time()
    assert changed_specs(specs, edits) == specs
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("numpy", "numpy"),
        ("NumPy >=1", "numpy"),
        ("numpy>=1", "numpy"),
        ("conda-forge::numpy[version='>=1']", "numpy"),
        ("", ""),
    ],
)
def test_name_of_a_spec_ends_at_its_constraints(spec: str, name: str) -> None:
    assert name_of(spec) == name


def test_changed_index_leaves_the_original_as_it_is() -> None:
    index = {"depends": ["a"], "features": "x"}
    changed = changed_index(index, {"depends": {"add": ["b"]}, "features": None, "revoked": True})
    assert changed == {"depends": ["a", "b", "package_has_been_revoked"], "revoked": True}
    assert index == {"depends": ["a"], "features": "x"}


def test_instructions_of_a_bz2_file_hold_for_the_conda_file_of_its_name() -> None:
    files: dict[str, Changes] = {
        "lib-1.0-py38_0.tar.bz2": {"depends": ["a"], "license": "A"},
        "lib-1.0-py38_0.conda": {"license": "B"},
    }
    instructions = Instructions(subdir="noarch", files=files)
    assert instructions.changes_of(Place()) == {"depends": ["a"], "license": "B"}
    assert instructions.changes_of(Place(file_name="lib-1.0-py38_0.tar.bz2")) == {"depends": ["a"], "license": "A"}
    assert instructions.changes_of(Place(subdir="linux-64")) == {}

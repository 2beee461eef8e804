"""Filters of packages: the records that specs and licences leave out, and the texts that they refuse."""

import time
from typing import Any

import pytest

from publishing.record_filters import (
    EXCLUDED,
    EXCLUDED_LICENSE,
    NOT_INCLUDED,
    NOT_INCLUDED_LICENSE,
    BadSpecError,
    Filters,
    Spec,
)

SHA256 = "a" * 64


def reason(
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    licenses: tuple[str, ...] = (),
    excluded_licenses: tuple[str, ...] = (),
    **more: Any,
) -> str:
    """Return why the filters leave out a record of numpy 1.2 in linux-64 with the keys `more`."""
    record = {"version": "1.2", "build": "py39_0", "build_number": 3, "sha256": SHA256} | more
    return Filters.of(include, exclude, licenses, excluded_licenses).reason("numpy", "linux-64", record)


@pytest.mark.parametrize(
    "spec",
    [
        "numpy",
        "NumPy",
        "n*y",
        "*",
        "numpy >=1",
        "num* 1.2.*",
        "numpy=1.2",
        "numpy 1.2 py39_0",
        "numpy[build_number='>2']",
        "*[subdir='linux-64']",
        "num*[subdir=linux-64,version='>=1']",
        f"numpy[sha256={SHA256}]",
    ],
)
def test_matching_spec_includes_and_excludes_a_record(spec: str) -> None:
    assert reason(include=("zlib", spec)) == ""
    assert reason(exclude=("zlib", spec)) == EXCLUDED


@pytest.mark.parametrize(
    "spec",
    [
        "num",
        "numpy-*",
        "numpy >=2",
        "n* 2.*",
        "numpy 1.2 py38_0",
        "numpy[build_number='>3']",
        "*[subdir='noarch']",
        f"numpy[sha256={'b' * 64}]",
        f"numpy[md5={'b' * 32}]",
    ],
)
def test_other_spec_neither_includes_nor_excludes_a_record(spec: str) -> None:
    assert reason(include=(spec,)) == NOT_INCLUDED
    assert reason(exclude=(spec,)) == ""


def test_exclusion_holds_against_an_inclusion() -> None:
    assert reason(include=("numpy",), exclude=("numpy <2",)) == EXCLUDED


@pytest.mark.parametrize(
    ("found", "globs", "is_included", "is_excluded"),
    [
        ({"license": "MIT"}, ("mit",), True, True),
        ({"license": "MIT"}, ("BSD-*", "M?T"), True, True),
        ({"license": "GPL-3.0-or-later"}, ("*GPL*",), True, True),
        ({"license": "GPL-3.0-or-later"}, ("GPL",), False, False),
        ({"license": "MIT AND LGPL-2.1-only"}, ("MIT",), False, True),
        ({"license": "MIT  or\n(BSD-3-Clause)"}, ("MIT", "BSD-*"), True, True),
        ({"license": "MIT OR GPL-2.0"}, ("MIT OR GPL*",), True, True),
        ({"license": "GPL/MIT"}, ("GPL",), False, True),
        ({"license": "Apache-2.0 WITH LLVM-exception"}, ("Apache-2.0",), False, False),
        ({"license": "custom", "license_family": "GPL3"}, ("gpl*",), False, True),
        ({"license_family": "GPL3"}, ("gpl*",), True, True),
        ({}, ("MIT",), False, False),
        ({"license": ["MIT"], "license_family": {"a": 1}}, ("MIT",), False, False),
        ({"license": "\uff27PL-3.0"}, ("*GPL*",), False, False),
    ],
)
def test_globs_of_licences_decide(
    found: dict[str, Any], globs: tuple[str, ...], *, is_included: bool, is_excluded: bool
) -> None:
    assert reason(licenses=globs, **found).partition(":")[0] == ("" if is_included else NOT_INCLUDED_LICENSE)
    assert reason(excluded_licenses=globs, **found).partition(":")[0] == (EXCLUDED_LICENSE if is_excluded else "")


@pytest.mark.parametrize(
    ("found", "stated"),
    [
        ({"license": "MIT OR GPL-2.0-only"}, "A filter excludes its licence: 'MIT OR GPL-2.0-only'."),
        ({"license": "Foo", "license_family": "GPL"}, "A filter excludes its licence: 'Foo' of the family 'GPL'."),
        ({"license_family": "GPL"}, "A filter excludes its licence: of the family 'GPL'."),
    ],
)
def test_reason_of_an_excluded_licence_states_it(found: dict[str, Any], stated: str) -> None:
    assert reason(excluded_licenses=("*GPL*",), **found) == stated


def test_reason_of_a_record_without_licence_states_that() -> None:
    assert reason(licenses=("MIT",)) == "No filter includes its licence: it states none."


def test_licence_of_a_megabyte_is_left_out_at_once() -> None:
    began = time.perf_counter()
    assert reason(excluded_licenses=("*a*b*c*",) * 100, license=" a" * 500_000)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("number", [None, "3", -1, 2**70, True])
def test_record_with_a_bad_build_number_is_compared(number: object) -> None:
    assert reason(exclude=("numpy[build_number=0]",), build_number=number) == EXCLUDED


@pytest.mark.parametrize(
    "spec",
    [
        "",
        " numpy",
        ">=2",
        "numpy >=\uff12",
        "nümpy",
        "numpy\x00",
        "numpy >=",
        "conda-forge::numpy",
        "numpy[channel=conda-forge]",
        "numpy[version='1.*', channel=x]",
        "numpy[when='python >=3']",
        "numpy[flags=[gpu]]",
        "numpy[license=MIT]",
        "numpy[subdir='Linux 64']",
        "numpy (>=2)",
        "*[build='^(a*)*b$']",
        "numpy " + ">=1," * 60 + ">=1",
        "numpy\n>=2",
        "numpy\u2028>=2",
    ],
)
def test_spec_with_another_meaning_for_clients_is_refused(spec: str) -> None:
    with pytest.raises(BadSpecError):
        Spec.of(spec)


@pytest.mark.parametrize(
    "texts",
    [
        {"include": [f"name-{number}" for number in range(501)]},
        {"exclude": [f"*{number} >=1.0000000000" for number in range(60)]},
        {"licenses": [f"MIT-{number}" for number in range(201)]},
        {"licenses": [""]},
        {"licenses": [" "]},
        {"excluded_licenses": ["x" * 65]},
        {"excluded_licenses": ["\uff27PL"]},
        {"excluded_licenses": ["MIT\nBSD"]},
    ],
)
def test_too_many_or_bad_texts_are_refused(texts: dict[str, list[str]]) -> None:
    with pytest.raises(BadSpecError):
        Filters.of(**({"include": [], "exclude": []} | texts))


@pytest.mark.parametrize(
    ("include", "names"),
    [
        (["lib", "app >=2", "lib <2"], ["app", "lib"]),
        (["lib", "app-*"], None),
        (["lib", "app-* >=2"], None),
        ([], None),
    ],
)
def test_exact_names_are_known_without_wildcards(include: list[str], names: list[str] | None) -> None:
    assert Filters.of(include, []).exact_names() == names

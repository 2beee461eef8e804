"""publishing.archive.specs: the hub accepts only MatchSpecs that conda and rattler read alike.

py-rattler runs in the tests. conda's verdicts are stored in known.tsv and random.tsv (see conda_verdicts.py).
"""

import csv
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import rattler
from rattler.exceptions import InvalidMatchSpecError
from rattler.package import BuildString
from rattler.repo_data import PackageRecord

from publishing.archive import specs
from publishing.archive.specs import NotAlikeError
from tests.specs.probes import MATCHES_NONE, UNREADABLE, Probe, digest

HERE = Path(__file__).parent
CONDA_ALIAS = "https://conda.anaconda.org/"

# Specs that both read alike, but the hub refuses: no dependency needs them, and each would extend the grammar.
REFUSED_THOUGH_ALIKE = {"file:///c::foo", "s3://b/c::foo", "*/linux-64::foo", "*::foo", "foo[subdir='*']"}


def conda_verdicts(name: str) -> Iterator[tuple[str, str]]:
    """Yield each spec of a file with conda's verdict."""
    with (HERE / name).open(newline="") as file:
        next(file)
        for spec, verdict in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield json.loads(spec), verdict


@cache
def rattler_verdict(spec: str) -> str:
    try:
        parsed = rattler.MatchSpec(spec)
    except InvalidMatchSpecError:
        return UNREADABLE
    channel = parsed.channel.base_url.removeprefix(CONDA_ALIAS).rstrip("/") if parsed.channel else ""
    place = {"channel": channel, "subdir": str(parsed.subdir or "")}
    return digest(spec, place, lambda probe: parsed.matches(record(probe)))


def record(probe: Probe) -> PackageRecord:
    build = BuildString(probe.build)
    return PackageRecord(probe.name, probe.version, build, build_number=probe.build_number, subdir="linux-64")


def is_taken(spec: str) -> bool:
    try:
        specs.check(spec)
    except NotAlikeError:
        return False
    return True


def is_alike(spec: str, conda_verdict: str) -> bool:
    return UNREADABLE != conda_verdict == rattler_verdict(spec)


@pytest.mark.parametrize(("spec", "conda_verdict"), list(conda_verdicts("known.tsv")))
def test_check_known_spec_taken_where_both_read_it_alike(spec: str, conda_verdict: str) -> None:
    expected = is_alike(spec, conda_verdict) and spec not in REFUSED_THOUGH_ALIKE
    if conda_verdict == MATCHES_NONE:
        # Specs that match none of the probes may still be read differently.
        assert not is_taken(spec) or expected
    else:
        assert is_taken(spec) == expected


def test_check_random_specs_takes_none_that_clients_read_differently() -> None:
    taken = [pair for pair in conda_verdicts("random.tsv") if is_taken(pair[0])]

    assert len(taken) > 500
    assert [spec for spec, verdict in taken if not is_alike(spec, verdict)] == []


def test_check_random_specs_takes_most_that_clients_read_alike() -> None:
    pairs = conda_verdicts("random.tsv")
    alike = [spec for spec, verdict in pairs if verdict != MATCHES_NONE and is_alike(spec, verdict)]

    # The others are alike by chance: one alternative hides a difference in another one.
    assert sum(map(is_taken, alike)) > 0.9 * len(alike)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("pandas (>=1.4,<1.5)|>=2.2", "conda drops parentheses; write it without them, since ',' binds closer"),
        ("pandas >=2.3<2.4", "conda reads '>=2.3<2.4' otherwise; put ',' or '|' between constraints"),
        ("pytorch 1.*.*", "conda and rattler read the '*' of '1.*.*' differently; write it like '1.2.*'"),
        ("foo if x", "conda drops what follows ' if '; write the condition as [when=…] (CEP 43)"),
        ("foo 1.0.conda", "conda takes it for the name of a file; write name, version and build"),
        ("-foo >=1", "conda finds no package name at its beginning; write it like 'numpy >=1.21,<3'"),
        ("foo[license=MIT]", "both read version, build, build_number, channel, subdir, md5 and sha256"),
        ("foo ==1.0.* py_0", "rattler drops the '*' of '==1.0.*'; write it without '=='"),
        ("foo[build=a, build=b]", "it states the build twice; state it once"),
        ("foo >", "rattler does not read it"),
    ],
)
def test_check_refused_spec_suggests_a_valid_one(spec: str, reason: str) -> None:
    with pytest.raises(NotAlikeError) as refused:
        specs.check(spec)

    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "spec",
    [
        f"foo {'1' * 900}.*.*",
        f"foo ({'1' * 900})",
        f"foo[license='{'x' * 900}']",
        f"foo >={'x' * 300}<{'y' * 600}",
        f"foo {'?' * 900}",
        f"{'é' * 900} >=1",
        f"foo ==1.0.{'1' * 900}* py_0",
        f"foo[build='^{'(' * 900}$']",
        f"foo[build='^{'+' * 900}$']",
    ],
)
def test_check_long_spec_refused_in_a_sentence_that_clients_show(spec: str) -> None:
    with pytest.raises(NotAlikeError) as refused:
        specs.check(spec)

    # Clients show 512 characters; the file's name, the document, its key, and the beginning of the spec come first.
    assert len(str(refused.value)) <= 512 - 270


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ('a[when="__win"]', True),
        ('a >=1[when="python >=3.9 and (__unix or b <2)"]', True),
        ("a[extras=[test, plot]]", True),
        ("a[flags=[cuda], version='>=1']", True),
        ('a[when="b >=2<3"]', False),
        ('a >=2<3[when="__win"]', False),
    ],
)
def test_check_spec_of_repodata_v3_judges_each_spec_within(spec: str, taken: bool) -> None:
    assert is_taken(spec) == taken


@pytest.mark.parametrize(
    ("build", "taken"),
    [
        ("*_cuda*_py3*", True),
        ("*a*a*a*b", False),
        ("a+b+c+d+e*", True),
        ("^py.*_0$", True),
        (r"^(cpu|cuda|rocm)_.*py(39|310|311|312)_\d+$", True),
        ("^((a*)*)*b$", False),
        ("^(a|aa)+b$", False),
        ("^a*a*a*a*b$", False),
        ("^a?a?a?a?b$", False),
        ("^a*a*a*(a|a)(a|a)(a|a)b$", False),
        ("^" + "(a|a)" * 12 + "$", True),
    ],
)
@pytest.mark.parametrize("spec", ["foo 1.0 {}", "foo[build='{}']", "foo[when=\"b[build='{}']\"]"])
def test_check_build_that_clients_match_slowly_is_refused(spec: str, build: str, taken: bool) -> None:
    # Outside of brackets a regular expression has no groups.
    assert is_taken(spec.format(build)) == (taken and ("[" in spec or "(" not in build))

"""The hub accepts exactly the variants that conda and rattler install alike, in each layer of a good package.

conda's verdicts are stored in verdicts/conda.json. After changing a variant, run conda_oracle.py again.
"""

import pytest

from tests.differential import report
from tests.differential.files import kept
from tests.differential.rule import Verdicts
from tests.differential.variants import every

ERROR_CHARACTERS = 512


@pytest.fixture(scope="module")
def found() -> list[Verdicts]:
    return report.verdicts()


def test_variants_are_many_and_their_verdicts_of_conda_current() -> None:
    variants = every()
    conda = kept("conda")

    assert len({variant.sha256 for variant in variants}) >= 400
    stale = [variant.key for variant in variants if conda.get(variant.key, {}).get("sha256") != variant.sha256]
    assert stale == [], "run tests/differential/conda_oracle.py"
    assert len(conda) == len(variants)


def test_variants_installed_alike_taken_and_others_refused(found: list[Verdicts]) -> None:
    faults = {each.variant.key: each.fault for each in found if each.fault}

    assert faults == {}


def test_good_package_installed_by_all(found: list[Verdicts]) -> None:
    good = [each for each in found if each.variant.layer == "the good package"]

    assert [each.now for each in good] == [{"taken": []}] * 2
    assert len({each.conda["tree"] for each in good} | {each.http["tree"] for each in good}) == 1


def test_refusals_fit_into_the_length_that_clients_show(found: list[Verdicts]) -> None:
    reasons = [each.now["refused"] for each in found if not each.is_taken]

    assert [reason for reason in reasons if len(reason) > ERROR_CHARACTERS or "cannot be read" in reason] == []


def test_table_in_the_docs_is_current(found: list[Verdicts]) -> None:
    assert report.in_page(report.PAGE.read_text()) == report.section(found), "run python -m tests.differential.report"

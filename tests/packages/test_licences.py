"""Tests of licences: those of all packages in requirements.txt are compatible with the hub's, BSD-3-Clause."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from django.conf import settings

REQUIRED = re.findall(r"^([\w.-]+)==", (Path(settings.BASE_DIR) / "requirements.txt").read_text(), re.MULTILINE)
# In SPDX, as classifiers of PyPI, and in the free text of packages with neither.
ALLOWED = {
    "Apache License 2.0",
    "Apache Software License",
    "Apache-2.0",
    "BSD",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT License",
    "MIT-0",
    "MIT-CMU",
    "PSF-2.0",
    "The Unlicense (Unlicense)",
}
BY_FILE = "a file of it that is changed keeps this licence, what uses it has its own; nothing of it is changed here"
BY_LIBRARY = "it is used as it is, by its interface, and whoever runs the hub can replace it"
ELSEWHERE = "for some systems or Pythons"
EXCEPTIONS = {
    "async-timeout": ("Apache-2.0", ELSEWHERE),
    "certifi": ("MPL-2.0", BY_FILE),
    "colorama": ("BSD-3-Clause", ELSEWHERE),
    "fido2": ("BSD-2-Clause, its list of public suffixes MPL-2.0", BY_FILE),
    "orjson": ("MPL-2.0 AND (Apache-2.0 OR MIT)", BY_FILE),
    "psycopg": ("LGPL-3.0-only", BY_LIBRARY),
    "psycopg-binary": ("LGPL-3.0-only", BY_LIBRARY),
    "psycopg-pool": ("LGPL-3.0-only", BY_LIBRARY),
    "qrcode": ("BSD-3-Clause, a part MIT", "its second classifier stands for a note on a trademark"),
    "sigstore-models": ("MIT", "only its file LICENSE says so"),
    "tzdata": ("Apache-2.0", ELSEWHERE),
}


def licences(name: str) -> list[str]:
    """Return the licences that apply, all of which must be allowed. Of alternatives, return the first allowed one."""
    found = metadata(name).json
    if "license_expression" in found:
        parts = [part.strip("() ").split(" OR ") for part in str(found["license_expression"]).split(" AND ")]
        return [next((each for each in part if each in ALLOWED), part[0]) for part in parts]
    classifiers = [line for line in found.get("classifier", []) if line.startswith("License :: ")]
    return [line.rpartition(" :: ")[2] for line in classifiers] or [str(found.get("license", "none"))]


@pytest.mark.parametrize("name", [name for name in REQUIRED if name not in EXCEPTIONS])
def test_licence_of_every_dependency_is_allowed(name: str) -> None:
    assert set(licences(name)) <= ALLOWED


def test_every_exception_is_one_still() -> None:
    assert len(REQUIRED) > 50
    for name, (_, why) in EXCEPTIONS.items():
        assert name in REQUIRED
        try:
            # Another Python may need a package that is installed elsewhere; its licence is then as any other.
            assert (set(licences(name)) <= ALLOWED) == (why == ELSEWHERE)
        except PackageNotFoundError:
            assert why == ELSEWHERE

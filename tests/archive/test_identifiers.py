"""The known subdirs include those of every client, so that each finds an index file for each of its platforms."""

import pytest
from rattler.platform import Subdir

from channels_app import identifiers

# conda.base.constants.KNOWN_SUBDIRS of conda 26.7.1 and of its main branch of August 2026.
CONDA = """
noarch emscripten-wasm32 wasi-wasm32 freebsd-64 linux-32 linux-64 linux-aarch64 linux-armv6l linux-armv7l linux-ppc64
linux-ppc64le linux-riscv64 linux-s390x osx-64 osx-arm64 win-32 win-64 win-arm64 zos-z
"""
# mamba::specs::KnownPlatform of libmamba 2.8.1.
MAMBA = """
noarch linux-32 linux-64 linux-armv6l linux-armv7l linux-aarch64 linux-ppc64le linux-ppc64 linux-s390x linux-riscv32
linux-riscv64 osx-64 osx-arm64 win-32 win-64 win-arm64 zos-z
"""


@pytest.mark.parametrize(
    "known",
    [{str(subdir) for subdir in Subdir.all()}, set(CONDA.split()), set(MAMBA.split())],
    ids=["rattler", "conda", "mamba"],
)
def test_known_subdirs_of_a_client_all_contained(known: set[str]) -> None:
    assert len(known) > 15
    assert known <= set(identifiers.KNOWN_SUBDIRS)


def test_known_subdirs_each_once_and_valid() -> None:
    assert len(set(identifiers.KNOWN_SUBDIRS)) == len(identifiers.KNOWN_SUBDIRS)
    assert [name for name in identifiers.KNOWN_SUBDIRS if not identifiers.is_subdir(name)] == []


def test_known_subdirs_noarch_first() -> None:
    assert identifiers.KNOWN_SUBDIRS[0] == "noarch"

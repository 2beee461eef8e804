"""Globs of package names: the same answers as fnmatch, one by one."""

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publishing import name_globs

GLOBS = st.lists(st.text("ab-.*?[]!", max_size=8), max_size=4)


@given(name=st.text("ab-.", max_size=8), globs=GLOBS)
def test_name_globs_match_as_fnmatch_does(name: str, globs: list[str]) -> None:
    assert name_globs.matches(name, globs) == any(fnmatchcase(name, glob) for glob in globs)


@pytest.mark.parametrize("glob", ["*a" * 63 + "b", "*[a-z]" * 20 + "!", "*?" * 60 + "!", "*" * 128 + "b"])
def test_glob_of_many_wildcards_takes_linear_time(glob: str) -> None:
    begun = time.process_time()
    for number in range(1000):
        name_globs.matches(f"{'a' * 120}{number}", [glob])
    assert time.process_time() - begun < 1

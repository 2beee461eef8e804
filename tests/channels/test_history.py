"""Tests of bench/history.py: each kind of inconsistency is found, and correct histories pass."""

import pytest

from bench.history import Life, Read, judge

WITHIN_S = 10.0
KEPT = Life(1, 2)
DELETED = Life(1, 2, 20, 21)


def read(began: float, *names: str) -> Read:
    return Read(began, began + 1, frozenset(names))


CASES = [
    ("all is well", KEPT, [read(0), read(3), read(5, "a")], read(50, "a"), {}),
    ("seen before it was acknowledged", KEPT, [read(1, "a")], read(50, "a"), {}),
    ("never acknowledged, and there", Life(1), [read(3, "a")], read(50, "a"), {}),
    ("never acknowledged, and not there", Life(1), [read(3)], read(50), {}),
    ("not there in the end", KEPT, [read(3, "a"), read(20, "a")], read(50), {"lost": ["a"], "vanished": ["a"]}),
    ("never there", KEPT, [], read(50), {"lost": ["a"], "stale": ["a"]}),
    ("late", KEPT, [read(13)], read(50, "a"), {"stale": ["a"]}),
    ("just in time", KEPT, [read(11)], read(50, "a"), {}),
    ("there too early", Life(5, 6), [read(3, "a")], read(50, "a"), {"phantom": ["a"]}),
    ("there and away again", KEPT, [read(3, "a"), read(5)], read(50, "a"), {"vanished": ["a"]}),
    ("two reads at once", KEPT, [read(3, "a"), read(3.5)], read(50, "a"), {}),
    ("deleted", DELETED, [read(3, "a"), read(22, "a"), read(25)], read(50), {}),
    ("gone while it was being deleted", DELETED, [read(3, "a"), read(19.5)], read(50), {}),
    ("deleted and there", DELETED, [read(3, "a"), read(32, "a")], read(50), {"resurrected": ["a"]}),
    ("deleted and back in the end", DELETED, [read(3, "a"), read(25)], read(50, "a"), {"resurrected": ["a"]}),
]


@pytest.mark.parametrize(("life", "reads", "final", "wrong"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_inconsistent_history_names_the_fault(
    life: Life, reads: list[Read], final: Read, wrong: dict[str, list[str]]
) -> None:
    assert judge({"a": life}, reads, final, within_s=WITHIN_S).wrong() == wrong


def test_file_without_an_upload_is_a_phantom() -> None:
    assert judge({}, [read(3, "b")], read(50), within_s=WITHIN_S).wrong() == {"phantom": ["b"]}


def test_seconds_until_visible_are_from_the_answer_to_the_end_of_the_first_read() -> None:
    verdict = judge({"a": KEPT, "b": Life(1, 5)}, [read(3, "a", "b")], read(50, "a", "b"), within_s=WITHIN_S)
    assert sorted(verdict.visible_s) == [0.0, 2.0]

"""The order in which clients load related channels (CEP 42)."""

import pytest

from publishing.relations.graph import DEPTH_MAX, CyclicError, Graph, Related, TooDeepError, order


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({}, [1]),
        ({1: Related(base=2)}, [2, 1]),
        ({1: Related(overrides=2)}, [1, 2]),
        ({1: Related(base=2, overrides=3)}, [2, 1, 3]),
        ({1: Related(base=2), 2: Related(base=3)}, [3, 2, 1]),
        ({1: Related(base=3, overrides=2), 2: Related(base=3)}, [3, 1, 2]),
    ],
)
def test_order_with_relations_starts_with_the_highest_priority(graph: Graph, expected: list[int]) -> None:
    assert order(graph, 1) == expected


@pytest.mark.parametrize(
    "graph",
    [
        {1: Related(base=2), 2: Related(base=1)},
        {1: Related(overrides=2), 2: Related(overrides=1)},
        {1: Related(base=2, overrides=3), 3: Related(overrides=2)},
        {1: Related(base=2), 2: Related(base=3), 3: Related(base=1)},
    ],
)
def test_order_with_a_cycle_is_refused(graph: Graph) -> None:
    with pytest.raises(CyclicError):
        order(graph, 1)


def test_order_with_relations_that_only_point_here_ignores_them() -> None:
    """Otherwise, the owner of one channel could prevent another's relations."""
    graph = {1: Related(base=2), 3: Related(base=1, overrides=2)}
    assert order(graph, 1) == [2, 1]


def test_order_beyond_the_depth_of_clients_is_refused() -> None:
    chain = {number: Related(base=number + 1) for number in range(1, DEPTH_MAX + 1)}
    assert order(chain, 1) == list(range(DEPTH_MAX + 1, 0, -1))
    with pytest.raises(TooDeepError):
        order(chain | {DEPTH_MAX + 1: Related(base=DEPTH_MAX + 2)}, 1)

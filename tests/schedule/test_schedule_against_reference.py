"""The schedule does what the rules say: it is compared with a literal interpreter of them."""

import random
from typing import Any

import pytest

from schedule.campaign import REAL, SCALE, SHAPES, check, make_case, run

GRAPHS = 1250 * SCALE


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_random_graphs_in_random_orders(shape: Any) -> None:
    """Starts, names, parents, views and the final state are those of the reference, in any order."""
    assert check(shape, range(GRAPHS)) > GRAPHS * 0.8


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_every_order_of_small_graphs(shape: Any) -> None:
    """Small graphs give the same in every order in which their activations can end."""
    for seed in range(40 * SCALE):
        case = make_case(shape, seed)
        assert case is not None
        if len(case.edges) > 4:
            continue
        outcomes = [run(case, random.Random(n), REAL) for n in range(24)]
        if not any(outcome.final == "conflict" for outcome in outcomes):
            assert all(outcome == outcomes[0] for outcome in outcomes)

"""The schedule does what the rules say: it is compared with a literal interpreter of them."""

from typing import Any

import pytest

from schedule.campaign import SCALE, SHAPES, EveryOrder, check, make_case, run

GRAPHS = 1250
PARTS = range(SCALE)  # tests of their own, so that a long campaign can run them side by side


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_random_graphs_in_random_orders(shape: Any, part: int) -> None:
    """Starts, names, parents, views and the final state are those of the reference, in any order."""
    assert check(shape, range(part * GRAPHS, (part + 1) * GRAPHS)) > GRAPHS * 0.6


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_every_order_of_small_graphs(shape: Any, part: int) -> None:
    """Small graphs give the same in every order in which their activations can report."""
    whole = several = 0
    for seed in range(part * 400, (part + 1) * 400):
        case = make_case(shape, seed)
        order = EveryOrder()
        first = run(case, order)
        if len(first.starts) > 7:
            continue  # too many orders
        for orders in range(1, 100):
            if order.exhausted():
                whole += 1
                several += orders > 1
                break
            outcome = run(case, order, compare=False)
            assert (first.final == "conflict") == (outcome.final == "conflict"), f"{shape.__name__} seed {seed}"
            assert first.final == "conflict" or first == outcome, f"{shape.__name__} seed {seed}"
    assert whole > 50, "all orders of many graphs"
    assert several > 10, "many of them with several orders"

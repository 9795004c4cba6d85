"""The comparison with the reference can fail: each of these one-line changes to the rules is caught by it."""

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest

from schedule.campaign import SHAPES, check

MODULES = ("topology", "causality", "loops", "plan", "schedule")

SABOTAGES = {
    "a join does not wait": ("schedule", "        if blockers:\n", "        if False:\n"),
    "a join outside loops starts with the first arrival": (
        "schedule",
        "                if left:\n",
        "                if left and target not in self._arrivals:\n",
    ),
    "routes not taken are not counted down": (
        "schedule",
        "            if idle and not self._open_edges[number]:\n",
        "            if idle and begun and not self._open_edges[number]:\n",
    ),
    "a route not taken is left open behind another": (
        "schedule",
        "pending.append(target)\n                elif",
        "pass\n                elif",
    ),
    "an interrupted activation holds nothing up": (
        "schedule",
        "        self._interrupted.add(key)\n",
        "        self._interrupted.add(key)\n        self._running[self._live[key][0]] -= 1\n",
    ),
    "the heads of a loop start one by one": (
        "schedule",
        "        for number in gate.members:\n",
        "        for number in gate.members[:1]:\n",
    ),
    "a node that starts for each arrival takes its parent's k": (
        "schedule",
        "own = len(ranks) * (k - 1) + ranks[source] + 1 if ranks else k",
        "own = k",
    ),
    "joins that wait hold nothing up": ("schedule", " | (shut & gate.waiting)\n", "\n"),
    "a join takes its parent's k": (
        "schedule",
        "k = self._counts[number] = self._counts.get(number, 0) + 1",
        "k = self._counts[number] = max(self._counts.get(number, 0) + 1, arrivals[0][1])",
    ),
    "parents in the order of arrival": ("schedule", "        arrivals.sort()\n", "        pass\n"),
    "ways of the next turn count": ("loops", "    heads = set(loop.heads)\n", "    heads = set(loop.heads[1:])\n"),
    "heads that wait hold each other up": (
        "loops",
        "waiting = reaching & joins_inside & ~_mask(bits, heads)",
        "waiting = reaching & joins_inside & ~_mask(bits, heads[1:])",
    ),
    "an overwritten write is not hidden": (
        "causality",
        "        if lies_behind(other, one):\n            return slots[0]\n",
        "        if lies_behind(other, one):\n            return slots[1]\n",
    ),
    "of one node's writes the lowest k is taken": (
        "causality",
        "best = max(left, key=lambda slot: slot[0].k)",
        "best = min(left, key=lambda slot: slot[0].k)",
    ),
    "what a chosen write had beaten comes back": ("causality", "    if not also:\n", "    if True:\n"),
    "first writes are lost where states meet": (
        "causality",
        "    for state in states[1:]:\n        if state.bits is not bits:",
        "    for state in states[2:]:\n        if state.bits is not bits:",
    ),
    "a fold takes what both have seen twice": (
        "causality",
        "            if id(mark.origin) in seen:\n                if mark.origin is mark:\n                    break",
        "            if id(mark.origin) in ():\n                if mark.origin is mark:\n                    break",
    ),
}

# Where to begin looking for what few graphs show. If the shapes change, look again from 0.
RARE = {"what a chosen write had beaten comes back": 820}


def sabotaged(where: str, old: str, new: str) -> dict[str, ModuleType]:
    """Load copies of the scheduling modules, one of them changed; the real ones stay as they are."""
    made: dict[str, ModuleType] = {}
    for name in MODULES:
        spec = importlib.util.find_spec(f"dagflow.core.{name}")
        assert spec is not None
        assert spec.loader is not None
        source = spec.loader.get_source(f"dagflow.core.{name}")  # type: ignore[attr-defined]  # a source loader has it
        if name == where:
            assert source.count(old) == 1, f"the line to sabotage is not (once) in {name}: {old!r}"
            source = source.replace(old, new)
        for other in MODULES:
            source = source.replace(f"from dagflow.core.{other} import", f"from sabotaged_{other} import")
        module = ModuleType(f"sabotaged_{name}")
        sys.modules[module.__name__] = made[name] = module
        exec(compile(source, f"sabotaged {name}", "exec"), vars(module))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("what", SABOTAGES)
def test_a_sabotaged_rule_is_caught(what: str) -> None:
    """Each sabotage of the rules fails the comparison within a few hundred graphs of each shape."""
    modules = sabotaged(*SABOTAGES[what])
    pair = (modules["plan"], modules["schedule"])
    start = RARE.get(what, 0)
    parts = ((shape, first) for first in range(start, start + 400, 20) for shape in SHAPES)
    assert any(_caught(shape, first, pair) for shape, first in parts)


def _caught(shape: Any, first: int, modules: tuple[ModuleType, ModuleType]) -> bool:
    try:
        check(shape, range(first, first + 20), modules)
    except Exception:
        return True
    return False


def test_a_copy_without_sabotage_passes() -> None:
    """The copies themselves are sound: it is the sabotage that is caught."""
    modules = sabotaged("schedule", "        arrivals.sort()\n", "        arrivals.sort()\n")
    assert check(SHAPES[1], range(20), (modules["plan"], modules["schedule"]))

"""The judge: says from the ledgers and the journals of a run's processes whether the run kept its promises.

It knows nothing of how runs work: an activation that was told of must be in the journal and never run again, one
that is in the journal must never run again, and in the end each is there once, with what it writes undisturbed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import attrs

from dagflow.core.storage import Session

__all__ = ["Done", "Expected", "Part", "Verdict", "judge", "read_done"]


@attrs.frozen
class Done:
    """What a journal says: its records, and of each that tells a success the activation and what it wrote."""

    texts: tuple[str, ...] = ()
    steps: tuple[tuple[str, Any], ...] = ()

    @property
    def activations(self) -> set[str]:
        """The activations that the journal has as complete."""
        return {activation for activation, _ in self.steps}


async def read_done(session: Session, thread_id: str) -> Done:
    """Read a journal as text, without dagflow's reader of records."""
    texts = [record.text for record in await session.read(thread_id)]
    parsed = [json.loads(text.rpartition(" ")[0]) for text in texts]
    succeeded = [fields for fields in parsed if fields["kind"] == "NodeSucceeded"]
    digests = {item["$value"] for fields in succeeded for item in fields["writes"].values() if isinstance(item, dict)}
    values = await session.read_values(thread_id, digests) if digests else {}
    steps = [(fields["activation"], [fields["targets"], _writes(fields["writes"], values)]) for fields in succeeded]
    return Done(tuple(texts), tuple(steps))


def _writes(writes: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    return {
        key: json.loads(values.get(item["$value"], "null")) if isinstance(item, dict) else item
        for key, item in writes.items()
    }


@attrs.frozen
class Part:
    """What one process did for a run: the bodies that it called, what it told others, and the journal after it.

    `state` is what it gave as the run's final state, if it came to that.
    """

    bodies: Sequence[str]
    told: Iterable[str]
    done: Done
    state: Mapping[str, Any] | None = None


@attrs.frozen
class Expected:
    """What a run that nobody disturbed comes to: its journal, and the final state that it gave."""

    done: Done
    state: Mapping[str, Any]


@attrs.frozen
class Verdict:
    """What a run did wrong.

    By activation: those that were told of and are `lost`, that were recorded and ran `again`, that are recorded
    `twice` or are `missing` in the end, and those `differing` that wrote, or led to, something else. `rewritten` tells
    whether what was recorded changed, and `other_end` whether the run gave another final state, or none.
    """

    lost: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    rewritten: bool = False
    other_end: bool = False

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return self != Verdict()


def judge(parts: Sequence[Part], expected: Expected) -> Verdict:
    """Judge a run by its processes, in their order, and by a run that nobody disturbed."""
    lost: set[str] = set()
    again: set[str] = set()
    for number, part in enumerate(parts):
        later = {activation for other in parts[number + 1 :] for activation in other.bodies}
        told = set(part.told)
        lost |= (told - part.done.activations) | (told & later)
        again |= part.done.activations & later
        again |= {activation for activation, count in Counter(part.bodies).items() if count > 1}
    final = parts[-1].done
    counts = Counter(activation for activation, _ in final.steps)
    wanted, got = dict(expected.done.steps), dict(final.steps)
    journals = [part.done.texts for part in parts]
    return Verdict(
        lost=tuple(sorted(lost)),
        again=tuple(sorted(again)),
        twice=tuple(sorted(activation for activation, count in counts.items() if count > 1)),
        missing=tuple(sorted(wanted.keys() - got.keys())),
        differing=tuple(sorted(activation for activation in got if got[activation] != wanted.get(activation))),
        rewritten=any(new[: len(old)] != old for old, new in pairwise(journals)),
        other_end=parts[-1].state != expected.state,
    )

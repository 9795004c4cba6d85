"""The codec of journals: exact, by declared type, never pickle.

What JSON has is itself: `None`, booleans, integers, finite numbers, text, arrays, objects. A declared type says what
data stand for (a date is text where a date is declared); where it leaves that open, the data have a name before
them, as an object of one key: `{"$datetime": "2030-01-02T03:04:05"}`, `{"$Place": {"name": "Brno"}}`. A dict with
keys that are no text, or that start with `$`, is `{"$dict": [[key, value], ...]}`.

Kept are: the concrete types of containers, the order of dicts, the exact state of instances, the sign of zero, fold
and zone of times. Not kept are: which of equal parts are one and the same object, the payload of a NaN, and what a
`UUID` knows of how it was made.
"""

from dagflow.core.codec.codec import Codec
from dagflow.core.codec.faults import Unreadable, Unwritable
from dagflow.core.codec.serializer import Serializer

__all__ = ["Codec", "Serializer", "Unreadable", "Unwritable"]

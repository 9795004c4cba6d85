"""Functions that tell a secret in every way there is, also in processes of their own, which import them by name."""

import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from dagflow import Returned

__all__ = ["SCRIPT", "tell_all", "tell_async", "tell_at_last", "tell_in_items", "tell_in_process"]

logger = logging.getLogger("telling")


class Betrayal(Exception):
    """An exception that keeps what it was told, in more than one place."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret, {"secret": [secret]})
        self.secret = secret
        self.add_note(f"a note of {secret}")


def tell(secret: str, item: int) -> None:
    print(secret, repr(secret), quote(secret))
    logger.warning("item %s: %s and %r", item, secret, secret)


def has_failed(folder: str, kind: str, item: int) -> bool:
    """Whether a task has failed before; it has from now on. The folder is for all processes."""
    try:
        os.close(os.open(Path(folder, f"{kind}-{item}"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    return False


def fail(secret: str, item: int) -> None:
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise Betrayal(secret) from error
    except Betrayal as error:
        if item % 2:
            raise ValueError(f"{item}: no such key {secret!r}") from error
        raise ExceptionGroup(f"all of {secret}", [error, OSError(2, secret, secret)]) from None


def tell_all(secret: str, item: int, folder: str) -> dict[str, object]:
    """Print, log and raise a secret, and return it the next time."""
    tell(secret, item)
    if not has_failed(folder, "thread", item):
        fail(secret, item)
    return {"told": [secret, {secret: secret}, (secret, f"<{secret}>")]}


def tell_in_process(secret: str, item: int, folder: str) -> list[str]:
    """The same in a process of its own, and past Python, too."""
    tell(secret, item)
    os.write(1, f"{secret}\n".encode())
    if not has_failed(folder, "process", item):
        fail(secret, item)
    return [secret]


async def tell_async(secret: str, item: int, folder: str) -> list[str]:
    """The same on the event loop."""
    tell(secret, item)
    if not has_failed(folder, "async", item):
        fail(secret, item)
    return [secret]


async def tell_in_items(secret: str, item: int, folder: str) -> AsyncIterator[object]:
    """The same, of a generator."""
    tell(secret, item)
    yield {"item": secret}
    if not has_failed(folder, "items", item):
        fail(secret, item)
    yield Returned([secret])


def tell_at_last(secret: str) -> None:
    """Let the run fail with it."""
    tell(secret, 0)
    fail(secret, 1)


SCRIPT = """
printf '%s\\n' "$KEY"; printf '%s\\n' "$KEY" >&2
if mkdir "$DAGFLOW_INPUT_folder/shell-$DAGFLOW_INPUT_item" 2> /dev/null; then exit 3; fi
echo public > public-$DAGFLOW_INPUT_item.txt
python - <<'END'
import json, os
with open(os.environ["DAGFLOW_OUTPUTS"], "w") as file:
    json.dump({"told": [os.environ["KEY"]]}, file)
END
"""

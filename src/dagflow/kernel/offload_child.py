"""The main program of a child that calls one function for us. It is run by its path, and imports no dagflow.

Standard input holds two pickles: what to prepare (`sys.path`, `sys.argv`, the main module), then the call as
bytes, because it can be read only after that. The answer, one pickle of builtin types, goes to what was
standard output; what the function prints goes to standard error, so that it cannot get between.
"""

import io
import os
import pickle
import runpy
import sys
import traceback

__all__ = ["MAIN"]

MAIN = "__mp_main__"  # as in `multiprocessing`, so that `if __name__ == "__main__"` guards the script here too


def main() -> None:
    """Read a call from standard input, make it, and write the answer to standard output."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    with requests, answers:
        answers.write(pickle.dumps(answer(requests)))


def answer(requests: io.BufferedReader) -> tuple[str, bytes, str, str]:
    """Make the call: its outcome's kind and pickle, and for an exception also its line and traceback."""
    try:
        prepare(*pickle.load(requests))
        function, arguments, keywords = pickle.loads(pickle.load(requests))
    except BaseException as error:
        return ("unreadable", b"", line(error), told(error))
    try:
        value = function(*arguments, **keywords)
    except BaseException as error:
        return ("raised", pickled_exception(error), line(error), told(error))
    try:
        return ("value", pickle.dumps(value), "", "")
    except Exception as error:
        return ("unwritable", b"", f"{type(value).__qualname__} ({line(error)})", told(error))


def prepare(path: list[str], arguments: list[str], main_name: str | None, main_path: str | None) -> None:
    """Make this process look like the caller's, as far as finding the function goes."""
    sys.path[:] = path
    sys.argv[:] = arguments
    if main_name is None and main_path is None:
        return
    names = (
        runpy.run_module(main_name, run_name=MAIN, alter_sys=True)
        if main_name is not None
        else runpy.run_path(str(main_path), run_name=MAIN)
    )
    module = type(sys)(MAIN)
    module.__dict__.update(names)
    sys.modules["__main__"] = sys.modules[MAIN] = module


def pickled_exception(error: BaseException) -> bytes:
    """Pickle an exception, or return nothing if that cannot be done. Whether it can be read is seen there."""
    try:
        return pickle.dumps(error)
    except Exception:
        return b""


def told(error: BaseException) -> str:
    """Format a traceback without our own frame."""
    assert error.__traceback__ is not None
    return "".join(traceback.format_exception(type(error), error, error.__traceback__.tb_next))


def line(error: BaseException) -> str:
    """Say an exception's type and message in one line."""
    return f"{type(error).__qualname__}: {error}"


if __name__ == "__main__":
    main()

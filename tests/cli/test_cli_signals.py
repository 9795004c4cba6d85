"""Signals as something to wait for, in this process."""

import os
import signal
import threading
import time

import anyio
import pytest

from dagflow.cli.signals import Signals


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_another_thread_got_wakes_the_loop(backend: str, number: signal.Signals) -> None:
    """A signal reaches the waiting task whichever thread the system gives it to, and everything is put back."""
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def get_signal() -> None:
        time.sleep(0.02)  # the event loop is asleep by now; where it is not, the test is only easier to pass
        signal.pthread_kill(threading.get_ident(), number)

    async def main() -> signal.Signals:
        thread = threading.Thread(target=get_signal)
        thread.start()
        with anyio.fail_after(10):
            received = await signals.wait()
        thread.join()
        return received

    with Signals() as signals:
        assert number == anyio.run(main, backend=backend)
    assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    assert -1 == signal.set_wakeup_fd(-1)


def test_a_signal_that_was_to_be_ignored_stays_so() -> None:
    """A program that was started to ignore Ctrl-C, in the background of a script, goes on ignoring it."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGINT)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGINT, previous)

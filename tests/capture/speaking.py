"""Functions that speak in processes of their own, which import them by their names."""

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

__all__ = ["die", "fork", "log_at_length", "say", "say_much", "wait_for", "whisper"]

logger = logging.getLogger("capture.speaking")


def say(word: str) -> str:
    """Say a word in every way there is."""
    print(f"print {word}")
    print(f"error {word}", file=sys.stderr)
    logger.warning("log %s\nin lines", word)
    logger.info("info %s", word)
    os.write(1, f"descriptor {word}\n".encode())
    subprocess.run(["sh", "-c", f"echo program {word}; echo complaint {word} >&2"], check=True)
    print(f"rest of {word}", end="")
    return word


def whisper(secret: str) -> str:
    """Say a secret, in pieces too."""
    half = len(secret) // 2
    print(f"all: {secret}")
    for piece in (secret[:half], secret[half:] + "\n"):
        sys.stdout.write(piece)
        sys.stdout.flush()
        time.sleep(0.002)
    logger.error("log of %s", secret)
    os.write(2, f"descriptor {secret}\n".encode())
    raise ValueError(f"{secret} is wrong")


def wait_for(path: str) -> bool:
    """Say that this is ready, and wait for whoever hears it."""
    print("ready")
    deadline = time.monotonic() + 10
    while not Path(path).exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def say_much(path: str) -> None:
    """Print two megabytes, and leave a mark when that is done."""
    for _ in range(2000):
        print("x" * 1000)
    Path(path).touch()


def die() -> None:
    """Say something, and end without another word."""
    print("last words")
    logger.error("last log")
    os._exit(3)


def log_at_length(letters: str, size: int) -> int:
    """Log a long line of each letter, all at once."""
    threads = [threading.Thread(target=logger.error, args=(letter * size,)) for letter in letters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(letters)


def fork() -> int:
    """Let a process of this one log, and end."""
    process = os.fork()
    if not process:
        logger.error("of a child")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

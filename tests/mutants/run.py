"""Break each promise with a one-line change to a copy of the library, and check that the tests notice.

`python tests/mutants/run.py [--short] [NAME ...]`; `nox -s mutants` runs all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from mutants import engine, front_ends, language_models, pipelines  # noqa: E402 - as a script, it is in no package
from mutants.mutant import Mutant  # noqa: E402

PATIENCE = 40  # seconds; a broken promise may well hang


MUTANTS = {**engine.MUTANTS, **language_models.MUTANTS, **front_ends.MUTANTS, **pipelines.MUTANTS}

SHORT = (
    "fail-fast",
    "single-flight",
    "stream",
    "swallowed",
    "cut-stream",
    "secret-request",
    "commit-first",
    "run-once",
    "checksum",
    "loop-limit",
    "map-journal",
    "hosted-cancelled",
    "hang-up",
    "branches-at-once",
    "secret-raised",
    "changed-pipeline",
)


def is_caught(mutant: Mutant) -> bool:
    """Run the mutant's tests against a broken copy of the library; hanging counts as noticing."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "src")
        shutil.copytree(ROOT / "src", source)
        module = source / "dagflow" / mutant.module
        text = module.read_text()
        if text.count(mutant.line) != 1:
            raise SystemExit(f"{mutant.promise}: the line to break is not (once) in {mutant.module}: {mutant.line!r}")
        module.write_text(text.replace(mutant.line, mutant.broken))
        command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {mutant.tests}"
        environment = {**os.environ, "PYTHONPATH": str(source)}
        try:
            ended = subprocess.run(
                command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return True
        if ended.returncode not in (0, 1):
            raise SystemExit(f"{mutant.promise}: the tests did not run:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
        return ended.returncode == 1


def main() -> int:
    """Run the mutants that are asked for, and say which of them live."""
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or list(MUTANTS)
    if "--short" in sys.argv:
        names = list(SHORT)
    alive = []
    for name in names:
        caught = is_caught(MUTANTS[name])
        print(f"{'caught' if caught else 'ALIVE '}  {name}: {MUTANTS[name].promise}", flush=True)
        if not caught:
            alive.append(name)
    print(f"{len(names) - len(alive)} passed, {len(alive)} failed")
    return 1 if alive else 0


if __name__ == "__main__":
    raise SystemExit(main())

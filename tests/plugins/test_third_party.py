"""A package of somebody else, built and installed, brings a plug-in of each kind, and each is found and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugins.packages import build_wheel

ACME = Path(__file__).parent / "acme_dagflow"
POINTS = {
    "dagflow.tasks": {"shout": "acme_dagflow:ShoutTaskType"},
    "dagflow.executors": {"counting": "acme_dagflow:CountingExecutor"},
    "dagflow.stores": {"shelf": "acme_dagflow:ShelfStore"},
    "dagflow.lms": {"parrot": "acme_dagflow:ParrotLM"},
    "dagflow.secrets": {"vault": "acme_dagflow:VaultSecrets"},
    "dagflow.catalogs": {"logging": "acme_dagflow:LoggingCatalog"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the package."""
    folder = tmp_path_factory.mktemp("acme")
    wheel = build_wheel(ACME, folder, name="acme_dagflow", points=POINTS)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_each_kind_of_an_installed_package_is_found_and_used(site: Path, backend: str) -> None:
    """A task, executor, store, language model, secret provider and catalog of another package work in runs."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "acme_dagflow.use_each", backend],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert "" == done.stderr
    used = json.loads(done.stdout)
    assert {
        "task": "HELLO ADA",
        "same": True,
        "executor": ["greet", "shout"],
        "store": 1,
        "catalog": ["*.txt"],
        "lm": "pieces",
        "distribution": "acme_dagflow 1.0",
    } == used


CONFIGURATION = """
executor: {type: counting, log: tasks.log}
store: {type: shelf}
catalog: {type: logging}
secrets: {type: vault, key: "${ACME_KEY}"}
"""


def configured(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in a folder that has a configuration file."""
    (folder / "dagflow.yaml").write_text(CONFIGURATION)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", *arguments],
        env={**os.environ, "PYTHONPATH": str(site), "ACME_KEY": "acme"},
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_configuration_file_names_them(site: Path, tmp_path: Path, backend: str) -> None:
    """`execute(configuration_file=)` makes the executor, store, catalog and secrets of another package."""
    done = configured(site, tmp_path, "acme_dagflow.configured", backend)
    assert "" == done.stderr
    assert {"shouted": "HELLO ADA", "put": ["*.txt"]} == json.loads(done.stdout)
    assert "greet\nshout" == (tmp_path / "tasks.log").read_text()


@pytest.mark.slow
def test_the_command_line_takes_the_configuration_file(site: Path, tmp_path: Path) -> None:
    """`dagflow run --configuration` runs with them, records in the store, and repeats the option where it goes on."""
    run = ("dagflow", "run", "acme_dagflow.configured", "--configuration", "dagflow.yaml", "--thread", "r1")
    done = configured(site, tmp_path, *run, "-v", "name=ada")
    assert (0, "HELLO ADA") == (done.returncode, json.loads(done.stdout)["shouted"])
    assert "greet\nshout" == (tmp_path / "tasks.log").read_text()
    assert "thread r1 in its own store" in done.stderr
    failed = configured(site, tmp_path, *run, "-v", "name=nobody")
    assert (1, True) == (failed.returncode, "ValueError: nobody is there" in failed.stderr)
    assert "dagflow runs resume acme_dagflow.configured r1 --configuration dagflow.yaml" in failed.stderr


@pytest.mark.slow
def test_finding_a_plugin_imports_none(site: Path) -> None:
    """Neither `import dagflow.plugins` nor listing and finding imports a plug-in, or reads metadata before it must."""
    code = (
        "import sys; from dagflow import plugins; from dagflow.plugins.installed import installed;"
        "assert 0 == installed.cache_info().currsize; assert 'shelf' in plugins.names('stores');"
        "plugins.find('stores', 'shelf'); assert 'acme_dagflow' not in sys.modules;"
        "plugins.load('stores', 'shelf'); assert 'acme_dagflow' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(site)}, check=True)

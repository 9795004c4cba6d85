"""A plug-in that is missing, there twice or broken is told as what it is, and hinders no other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dagflow import DagflowError, plugins
from dagflow.plugins import PluginError
from plugins.packages import install

NUMBERS = itertools.count()
GOOD = "class Shelf:\n    def open(self): ...\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages that is first on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    plugins.forget()
    yield tmp_path
    plugins.forget()


def register(site: Path, target: str, source: str = "", *, kind: str = "stores", name: str = "shelf") -> str:
    """Install a package with one plug-in, whose module is named anew each time; `{}` in the target stands for it."""
    module = f"plugin_module_{next(NUMBERS)}"
    install(site, "acme", {f"dagflow.{kind}": {name: target.format(module)}}, {module: source})
    return module


def loading(kind: str = "stores", name: str = "shelf") -> PluginError:
    with pytest.raises(PluginError) as caught:
        plugins.load(kind, name)
    assert isinstance(caught.value, DagflowError)
    return caught.value


def test_a_good_plugin_is_listed_found_and_loaded(site: Path) -> None:
    """Names, distribution and line are known without importing; loading gives the class."""
    module = register(site, "{}:Shelf", GOOD)
    assert "shelf" in plugins.names("stores")
    found = plugins.find("stores", "shelf")
    assert ("acme 1.0", f"dagflow.stores: shelf = {module}:Shelf") == (found.distribution, found.entry_point)
    assert "Shelf" == plugins.load("stores", "shelf").__name__
    assert () == plugins.problems()


def test_what_is_installed_is_read_once_until_it_is_forgotten(site: Path) -> None:
    """A package that is installed later is found once `forget` was called, and not before."""
    plugins.names("stores")
    register(site, "{}:Shelf", GOOD)
    assert "shelf" not in plugins.names("stores")
    plugins.forget()
    assert "shelf" in plugins.names("stores")


def test_an_unknown_name_suggests_the_nearest(site: Path) -> None:
    """A name that is not there is told with the nearest that is."""
    register(site, "{}:Shelf", GOOD)
    assert "there is no store named 'shlef'; did you mean 'shelf'?" in str(loading(name="shlef"))


def test_an_unknown_kind_suggests_the_nearest() -> None:
    """A kind that there is not is a mistake of the caller."""
    with pytest.raises(ValueError, match="no plug-ins of the kind 'store'; did you mean 'stores'"):
        plugins.names("store")


def test_two_of_one_name_are_an_error_that_names_both(site: Path) -> None:
    """Which of two was meant cannot be told, so neither is taken; another of the same kind is."""
    install(site, "acme", {"dagflow.stores": {"shelf": "a:A", "other": "a:B"}})
    install(site, "zenith", {"dagflow.stores": {"shelf": "z:Z"}}, version="2.1")
    error = loading()
    assert "a store named 'shelf' is registered 2 times, by acme 1.0 (a:A) and by zenith 2.1 (z:Z)" in str(error)
    assert "acme 1.0, zenith 2.1" == error.distribution
    assert "a:B" == plugins.find("stores", "other").target


def test_a_distribution_that_another_version_shadows_is_not_there(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions of one distribution on the path are one: the first, with fewer plug-ins, the same or none."""
    both = {"dagflow.stores": {"same": "x:A"}}
    install(site / "old", "acme", {"dagflow.stores": {"shelf": "old:A", "fewer": "old:B"}}, version="0.9")
    install(site / "new", "acme", {"dagflow.stores": {"shelf": "new:A"}})
    for folder in ("old", "new"):
        install(site / folder, "zenith", both)
    install(site / "old", "apex", {"dagflow.stores": {"none": "old:B"}}, version="0.9")
    install(site / "new", "apex", "")
    monkeypatch.syspath_prepend(site / "old")
    monkeypatch.syspath_prepend(site / "new")
    assert ("new:A", "x:A") == (plugins.find("stores", "shelf").target, plugins.find("stores", "same").target)
    assert not {"fewer", "none"} & set(plugins.names("stores"))


BROKEN: Mapping[str, tuple[str, str, str]] = {
    "raises": ("{}:Shelf", "raise RuntimeError('no licence')", "importing {} raised RuntimeError: no licence"),
    "import": ("{}:Shelf", "import nowhere_at_all", "raised ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "syntax": ("{}:Shelf", "class Shelf(", "importing {} raised SyntaxError: '(' was never closed"),
    "attribute": ("{}:Shlef", GOOD, "{} has no Shlef; did you mean 'Shelf'?"),
    "lazily": ("{}:Shelf", "def __getattr__(name): raise ImportError('pip install x')", "raised ImportError: pip inst"),
    "malformed": ("{}", "", "names nothing; write module:Class"),
    "instance": ("{}:shelf", GOOD + "shelf = Shelf()", "is a Shelf, and a store is registered as a class"),
    "kind": ("{}:Shelf", "class Shelf: ...", "is no store: Shelf has no method open"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_plugin_is_told_as_what_it_is(site: Path, broken: str) -> None:
    """The error says which distribution, which line and what is wrong; what the module raised is its cause."""
    target, source, problem = BROKEN[broken]
    module = register(site, target, source)
    error = loading()
    line = f"dagflow.stores: shelf = {target.format(module)}"
    assert str(error).startswith(f"the plug-in 'shelf' of acme 1.0 ({line}) is broken: ")
    assert problem.format(module) in str(error)
    assert ("acme 1.0", line) == (error.distribution, error.entry_point)
    assert (broken in {"raises", "import", "syntax", "attribute", "lazily"}) == (error.__cause__ is not None)
    assert "shelf" in plugins.names("stores")  # listed all the same


EXECUTOR = "class Far:\n    {}\n    def refusal(self, function): ...\n    async def execute(self, work): ...\n"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (EXECUTOR.format("service_name = 'near'"), "registered as 'far' and calls itself 'near' (Far.service_name)"),
        (EXECUTOR.format("pass"), "is no executor: Far has no attribute service_name"),
        ("class Far:\n    service_name = 'far'", "is no executor: Far has no method refusal and no execute"),
    ],
)
def test_an_executor_answers_to_the_name_it_is_registered_by(site: Path, source: str, problem: str) -> None:
    """Overrides and configuration files know it by one name, so two are an error."""
    register(site, "{}:Far", source, kind="executors", name="far")
    assert problem in str(loading("executors", "far"))


def test_metadata_that_cannot_be_read_hinder_no_other_plugin(site: Path) -> None:
    """A damaged distribution is a problem that is told, also where a name is not found; the rest works."""
    install(site, "broken", "[dagflow.stores]\nno equals sign here\n")
    install(site, "odd", {"dagflow.store": {"shelf": "x:Y"}})
    install(site, "acme", {"dagflow.stores": {"good": "x:Y"}})
    assert "x:Y" == plugins.find("stores", "good").target
    told = {problem.distribution: str(problem) for problem in plugins.problems()}
    assert {"broken 1.0", "odd 1.0"} == told.keys()
    assert "there is no such group; did you mean 'dagflow.stores'?" in told["odd 1.0"]
    assert "the entry points of broken 1.0 cannot be read" in str(loading())


def test_a_distribution_without_metadata_is_named_by_its_folder(site: Path) -> None:
    """Damaged metadata do not hide where a plug-in comes from."""
    install(site, "acme", {"dagflow.stores": {"shelf": "x:Y"}})
    (site / "acme-1.0.dist-info" / "METADATA").unlink()
    assert f"a distribution without a name in {site}" == plugins.find("stores", "shelf").distribution

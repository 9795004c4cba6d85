"""The project of a graph, and what its files may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagflow.declarative.project import PathError, confined, find_root
from declarative.prompts.hostile_paths import PATHS, Hostile, lay_out
from declarative.prompts.measuring import peak_of, seconds_of


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("around"))


def test_the_corpus_is_large() -> None:
    """At least 40 paths, and no two are the same."""
    assert 40 <= len({hostile.path for hostile in PATHS}) == len(PATHS)


@pytest.mark.parametrize("hostile", PATHS, ids=lambda hostile: ascii(hostile.path[:30]))
def test_a_hostile_path_is_refused_quickly(base: Path, hostile: Hostile) -> None:
    """Each is refused for its own reason, in words that can be shown, and before anything is opened."""

    def attempt() -> PathError:
        with pytest.raises(PathError, match=hostile.told) as found:
            confined(hostile.path, base=base, root=base.parent, what="prompt")
        return found.value

    error = attempt()
    assert hostile.path == error.path
    assert str(error).startswith("prompt '")
    assert str(error).isprintable()
    assert len(str(error)) < 500
    assert seconds_of(attempt, 0.1) < 0.1
    assert peak_of(attempt) < 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("text", "leads_to"),
    [
        ("prompts/ask.yaml", "graphs/prompts/ask.yaml"),
        ("./prompts//ask.yaml", "graphs/prompts/ask.yaml"),
        ("prompts/../prompts/ask.yaml", "graphs/prompts/ask.yaml"),
        ("../shared.yaml", "shared.yaml"),
        ("../../project/shared.yaml", "shared.yaml"),
        ("inside.yaml", "graphs/prompts/ask.yaml"),
        ("to_root.yaml", "shared.yaml"),
        ("here/here/inside.yaml", "graphs/prompts/ask.yaml"),
        ("relative_folder/project/shared.yaml", "shared.yaml"),
        ("odd name.yaml", "graphs/odd name.yaml"),
        ("./~.yaml", "graphs/~.yaml"),
    ],
)
def test_a_path_inside_of_the_project_is_resolved(base: Path, text: str, leads_to: str) -> None:
    """Whatever way it takes, a path that ends inside is a file of the project, by its real name."""
    assert base.parent / leads_to == confined(text, base=base, root=base.parent)


def test_the_folder_may_be_named_in_other_ways(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative folders, and those that a symlink leads to, are the same folders."""
    monkeypatch.chdir(base.parent)
    assert base / "prompts/ask.yaml" == confined("prompts/ask.yaml", base=Path("graphs"), root=Path())
    assert base / "prompts/ask.yaml" == confined("prompts/ask.yaml", base=base / "here", root=base / "here" / "..")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prompts/aks.yaml", "; did you mean 'ask.yaml'?"),
        ("promtps/ask.yaml", "; did you mean 'prompts'?"),
        ("promtps/deep/ask.yaml", "; did you mean 'prompts'?"),
        ("../shred.yaml", "; did you mean 'shared.yaml'?"),
        ("something/else.yaml", ": there is no 'something' in "),
    ],
)
def test_the_nearest_name_is_suggested(base: Path, text: str, told: str) -> None:
    """For the first part of a path that is not there, a name from the folder that it would be in."""
    with pytest.raises(PathError) as found:
        confined(text, base=base, root=base.parent)
    assert found.value.problem.startswith(f"is not there{told}")


def test_nothing_is_told_of_what_is_outside(base: Path) -> None:
    """What leads out is refused alike, whether something is there or not."""
    told = set()
    for text in ("../../secret.yaml", "../../nothing.yaml", "../../sercet.yaml"):
        with pytest.raises(PathError) as found:
            confined(text, base=base, root=base.parent)
        told.add(found.value.problem)
    assert 1 == len(told)


def test_a_folder_can_be_asked_for(base: Path) -> None:
    """`kind` says what must be there."""
    assert base / "prompts" == confined("prompts/", base=base, root=base.parent, kind="folder")
    assert base == confined(".", base=base, root=base.parent, kind="folder")
    with pytest.raises(PathError, match="is a file, and not a folder"):
        confined("prompts/ask.yaml", base=base, root=base.parent, kind="folder")
    with pytest.raises(PathError, match="is a named pipe, and not a folder"):
        confined("fifo.yaml", base=base, root=base.parent, kind="folder")


def test_an_ending_can_be_asked_for(base: Path) -> None:
    """`suffixes` are the endings that a path may have."""
    found = confined("prompts/ask.yaml", base=base, root=base.parent, suffixes=(".yaml", ".yml"))
    assert base / "prompts/ask.yaml" == found
    with pytest.raises(PathError, match=r"must end in \.py or \.ipynb"):
        confined("prompts/ask.yaml", base=base, root=base.parent, suffixes=(".py", ".ipynb"))


@pytest.mark.parametrize("marker", ["pyproject.toml", ".git"])
def test_the_root_is_the_nearest_folder_with_a_marker(tmp_path: Path, marker: str) -> None:
    """The project is that of the nearest marker, a file or a folder; without one, the folder itself."""
    inner = tmp_path / "outer" / "project" / "graphs" / "deep"
    inner.mkdir(parents=True)
    assert inner == find_root(inner)
    (tmp_path / "outer" / "pyproject.toml").touch()
    assert tmp_path / "outer" == find_root(inner)
    (tmp_path / "outer" / "project" / marker).mkdir()
    assert tmp_path / "outer" / "project" == find_root(inner)
    assert tmp_path / "outer" / "project" == find_root(tmp_path / "outer" / "project")
    assert tmp_path / "outer" == find_root(tmp_path / "outer")

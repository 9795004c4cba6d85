"""Files go into the catalog and come back as they were, each content kept once."""

import hashlib
import os
import stat
from pathlib import Path

import anyio
import pytest

from catalog.places import At
from dagflow.catalog import CatalogError, CatalogFile, FileCatalog
from dagflow.testing.leaks import assert_no_leaks


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def catalog(tmp_path: Path) -> FileCatalog:
    """A catalog that is empty."""
    return FileCatalog(tmp_path / "catalog")


def write(folder: Path, **contents: str) -> None:
    for name, text in contents.items():
        file = folder / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def objects(catalog: FileCatalog) -> list[Path]:
    return [path for path in (catalog.root / "objects").rglob("*") if path.is_file()]


async def test_files_are_put_and_got(catalog: FileCatalog, work: Path, tmp_path: Path) -> None:
    """What globs match is kept, with hash and size, and is copied into another folder."""
    write(work, out_csv="a,b\n", deep__er__x_csv="x", other_txt="no")
    put = await catalog.put(["out.csv", "**/*.csv"], work, At())
    digest = hashlib.sha256(b"a,b\n").hexdigest()
    assert ["deep/er/x.csv", "out.csv"] == [file.path for file in put]
    assert CatalogFile("out.csv", digest, 4, "report/sort") == put[1]
    other = tmp_path / "other"
    other.mkdir()
    assert put == await catalog.get(["**"], other, At(path=("report", "plot")))
    assert ("a,b\n", "x") == ((other / "out.csv").read_text(), (other / "deep/er/x.csv").read_text())
    assert put == await catalog.files("run")
    assert b"a,b\n" == await catalog.read("run", "out.csv")


async def test_a_content_is_kept_once(catalog: FileCatalog, work: Path) -> None:
    """Equal files of any name, task and run share one object, which nobody can write to, and the views are links."""
    write(work, a="same", b="same")
    await catalog.put(["*"], work, At("one"))
    await catalog.put(["*"], work, At("two"))
    (kept,) = objects(catalog)
    digest = hashlib.sha256(b"same").hexdigest()
    assert (digest[:2], digest[2:]) == (kept.parent.name, kept.name)
    assert 0o444 == stat.S_IMODE(kept.stat().st_mode)
    views = [catalog.run_folder(run) / "files" / name for run in ("one", "two") for name in "ab"]
    assert all(view.samefile(kept) for view in views)
    assert 5 == kept.stat().st_nlink


async def test_a_file_that_is_put_again_is_replaced(catalog: FileCatalog, work: Path) -> None:
    """The newest file of a path counts in index and view, the older content stays, and other runs keep theirs."""
    for text in ("old", "new", "new"):
        write(work, a=text)
        await catalog.put(["a"], work, At())
        if text == "old":
            await catalog.put(["a"], work, At("other"))
    assert b"new" == await catalog.read("run", "a")
    assert b"old" == await catalog.read("other", "a")
    assert "new" == (catalog.run_folder("run") / "files" / "a").read_text()
    assert 2 == len((catalog.run_folder("run") / "index.jsonl").read_text().splitlines())
    assert 2 == len(objects(catalog))


async def test_what_is_got_may_be_changed(catalog: FileCatalog, work: Path) -> None:
    """A task that writes to what it got changes neither the catalog nor what the next one gets."""
    write(work, a="kept")
    await catalog.put(["a"], work, At())
    (work / "a").unlink()
    await catalog.get(["a"], work, At())
    with (work / "a").open("a") as file:
        file.write(" and changed")
    assert b"kept" == await catalog.read("run", "a")
    await catalog.get(["a"], work, At())
    assert "kept" == (work / "a").read_text()


async def test_a_program_stays_one(catalog: FileCatalog, work: Path) -> None:
    """The right to be executed is kept; other rights are those of a new file."""
    write(work, run_sh="#!/bin/sh\n", data="")
    (work / "run.sh").chmod(0o755)
    await catalog.put(["*"], work, At())
    (work / "run.sh").unlink()
    await catalog.get(["*"], work, At())
    assert os.access(work / "run.sh", os.X_OK)
    assert 0 == os.stat(work / "data").st_mode & 0o111


async def test_bytes_are_put(catalog: FileCatalog, work: Path) -> None:
    """What is in no folder is kept like a file."""
    file = await catalog.put_bytes("notebooks/plot.ipynb", b"{}", At())
    assert (file,) == await catalog.get(["notebooks/*"], work, At())
    assert b"{}" == (work / "notebooks/plot.ipynb").read_bytes()
    with pytest.raises(CatalogError, match=r"the path '../x' leads upwards"):
        await catalog.put_bytes("../x", b"", At())


async def test_an_empty_file_and_a_large_one(catalog: FileCatalog, work: Path) -> None:
    """Files of no bytes, and of more than is copied at once, are kept whole."""
    data = os.urandom(1 << 20) * 2 + b"x"
    (work / "large").write_bytes(data)
    write(work, empty="")
    await catalog.put(["*"], work, At())
    assert (b"", data) == (await catalog.read("run", "empty"), await catalog.read("run", "large"))


async def test_a_glob_that_matches_nothing_names_the_task_and_the_glob(catalog: FileCatalog, work: Path) -> None:
    """Every glob that matches nothing is told, with the task, and nothing is kept."""
    write(work, a_csv="")
    (work / "folder").mkdir()
    with pytest.raises(CatalogError) as caught:
        await catalog.put(["*.csv", "*.txt", "folder"], work, At())
    assert "report/sort" == caught.value.task
    assert (
        "task report/sort cannot put files: the glob '*.txt' matches no file; "
        "the glob 'folder' matches no file (folder is a folder; write folder/** for the files in it)"
    ) == str(caught.value)
    assert () == await catalog.files("run")
    with pytest.raises(CatalogError, match="the glob 'a.csv' matches no file that the run has put"):
        await catalog.get(["a.csv"], work, At())
    await catalog.put(["a.csv"], work, At())
    with pytest.raises(
        CatalogError, match=r"the glob 'a.cvs' matches no file that the run has put; did you mean 'a.csv'"
    ):
        await catalog.get(["a.cvs"], work, At())
    with pytest.raises(CatalogError, match=r"the glob '\*.csv' matches"):
        await catalog.get(["*.csv"], work, At("another run"))


async def test_nothing_is_made_before_something_is_kept(catalog: FileCatalog, work: Path) -> None:
    """Looking into a catalog that is not there finds nothing, and makes nothing."""
    assert () == await catalog.files("run")
    with pytest.raises(CatalogError, match="run run has no file 'a'"):
        await catalog.read("run", "a")
    with pytest.raises(CatalogError):
        await catalog.get(["a"], work, At())
    assert () == await catalog.get([], work, At())
    assert not catalog.root.exists()


@pytest.mark.parametrize(
    "run_id", ["a/b", "..", ".", "../../x", "ä\n\0", "~x", "x" * 500, "\udc80", "%2E", "a b"], ids=ascii
)
async def test_a_run_may_have_any_id(catalog: FileCatalog, work: Path, run_id: str) -> None:
    """The folder of a run is below `runs` whatever its id is."""
    write(work, a="1")
    await catalog.put(["a"], work, At(run_id))
    assert ["a"] == [file.path for file in await catalog.files(run_id)]
    folder = catalog.run_folder(run_id)
    assert (catalog.root / "runs", True) == (folder.parent, (folder / "files" / "a").is_file())
    assert [folder] == list((catalog.root / "runs").iterdir())


async def test_runs_with_similar_ids_are_apart() -> None:
    """No two ids share a folder."""
    ids = [".", "%2E", "%252E", "a/b", "a%2Fb", "A/b", "x" * 300, "x" * 301, "x" * 100]
    assert len(ids) == len({FileCatalog("c").run_folder(run) for run in ids})
    with pytest.raises(CatalogError, match="the id of a run is empty"):
        FileCatalog("c").run_folder("")


async def test_a_damaged_content_is_told(catalog: FileCatalog, work: Path) -> None:
    """A content that is not what its hash says is never given to a task, nor is a part of it; nor one that is gone."""
    write(work, a="right")
    await catalog.put(["a"], work, At())
    (kept,) = objects(catalog)
    kept.chmod(0o644)
    kept.write_text("wrong")
    (work / "a").write_text("before")
    with pytest.raises(CatalogError, match="the file a: objects/.* is damaged: it is not what its hash says"):
        await catalog.get(["a"], work, At())
    with pytest.raises(CatalogError, match="is damaged"):
        await catalog.read("run", "a")
    assert [("a", "before")] == [(file.name, file.read_text()) for file in work.iterdir()]
    kept.unlink()
    with pytest.raises(CatalogError, match="objects/.* is not there"):
        await catalog.get(["a"], work, At())
    write(work, a="right")
    await catalog.put(["a"], work, At())
    assert b"right" == await catalog.read("run", "a")


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"path": "../../x", "sha256": "%s", "size": 1, "task": "t", "executable": false}' % ("0" * 64),
        '{"path": "a", "sha256": "../../../etc/passwd", "size": 1, "task": "t", "executable": false}',
        '{"path": "a", "sha256": "%s", "size": "1", "task": "t", "executable": false}' % ("0" * 64),
        '{"path": "a", "odd": 1}',
    ],
)
async def test_a_damaged_index_is_told(catalog: FileCatalog, work: Path, line: str) -> None:
    """A line that no catalog has written is an error, and never a path to follow."""
    write(work, a="1")
    await catalog.put(["a"], work, At())
    with (catalog.run_folder("run") / "index.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(CatalogError, match="index.jsonl of run run is damaged"):
        await catalog.get(["**"], work, At())
    with pytest.raises(CatalogError, match="index.jsonl of run run is damaged"):
        await catalog.files("run")


async def test_a_line_that_was_not_finished_is_cut_off(catalog: FileCatalog, work: Path) -> None:
    """What a killed process left of a line is not read, and gone when the next file is put."""
    write(work, a="1", b="2")
    await catalog.put(["a"], work, At())
    index = catalog.run_folder("run") / "index.jsonl"
    whole = index.read_text()
    index.write_text(whole + '{"path": "half' + "x" * 10_000)
    assert ["a"] == [file.path for file in await catalog.files("run")]
    await catalog.put(["b"], work, At())
    assert ["a", "b"] == [file.path for file in await FileCatalog(catalog.root).files("run")]
    assert index.read_text().startswith(whole + '{"path": "b"')


async def test_a_run_that_was_removed_begins_anew(catalog: FileCatalog, work: Path) -> None:
    """What is remembered of an index does not outlive it."""
    write(work, a="1", b="2")
    await catalog.put(["*"], work, At())
    assert 2 == len(await catalog.files("run"))
    index = catalog.run_folder("run") / "index.jsonl"
    index.write_bytes(b"")
    assert () == await catalog.files("run")
    await catalog.put(["a"], work, At())
    assert ["a"] == [file.path for file in await catalog.files("run")]


async def test_a_file_and_a_folder_of_one_name_is_an_error(catalog: FileCatalog, work: Path) -> None:
    """A run cannot have a file where another of its files needs a folder."""
    write(work, a="1")
    await catalog.put(["a"], work, At())
    (work / "a").unlink()
    write(work, a__b="2")
    with pytest.raises(CatalogError, match="cannot put a/b: the run has another file"):
        await catalog.put(["a/b"], work, At())
    assert ["a"] == [file.path for file in await catalog.files("run")]
    await catalog.put(["a/b"], work, At("other"))
    (work / "a/b").unlink()
    (work / "a").rmdir()
    write(work, a="1")
    with pytest.raises(CatalogError, match="cannot put a: the run has another file"):
        await catalog.put(["a"], work, At("other"))


async def test_what_cannot_be_read_or_written_is_told(catalog: FileCatalog, work: Path, tmp_path: Path) -> None:
    """A missing working folder, a folder in the way and a root that is a file are errors that say what."""
    with pytest.raises(CatalogError, match=r"task report/sort: the working folder .*/none: No such file"):
        await catalog.put(["a"], tmp_path / "none", At())
    write(work, a="1")
    await catalog.put(["a"], work, At())
    (work / "a").unlink()
    (work / "a").mkdir()
    with pytest.raises(CatalogError, match="the file a: Is a directory"):
        await catalog.get(["a"], work, At())
    assert ["a"] == [path.name for path in work.iterdir()]
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="the catalog .*/file"):
        await FileCatalog(tmp_path / "file").put_bytes("a", b"", At())


@pytest.mark.slow
async def test_puts_at_once_lose_nothing(catalog: FileCatalog, work: Path) -> None:
    """Many tasks that put at the same moment, two of them the same path, all find their files in the index."""
    write(work, **{f"f{number}": f"{number % 5}" for number in range(20)})
    async with assert_no_leaks(), anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(catalog.put, [f"f{number}", "f0"], work, At(path=(str(number),)))
    assert 20 == len(await FileCatalog(catalog.root).files("run"))
    assert 5 == len(objects(catalog))
    assert [] == list((catalog.root / "objects").glob(".dagflow-*"))

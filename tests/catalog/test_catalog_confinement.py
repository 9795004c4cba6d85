"""Nothing gets out of the working folder, out of the catalog, or into either, by a path or by a symlink."""

import os
import socket
from pathlib import Path

import pytest

from catalog.places import At
from dagflow.catalog import CatalogError, FileCatalog


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working folder, beside a folder that is nobody's business."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key").write_text("canary")
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def catalog(tmp_path: Path) -> FileCatalog:
    """A catalog that is empty."""
    return FileCatalog(tmp_path / "catalog")


async def nothing_kept(catalog: FileCatalog) -> bool:
    return () == await catalog.files("run") and not list((catalog.root).glob("objects/*/*"))


@pytest.mark.parametrize("glob", ["link", "*", "**"])
@pytest.mark.parametrize("target", ["../outside/key", "inside", "nothing"])
async def test_a_symlink_is_not_put(catalog: FileCatalog, work: Path, glob: str, target: str) -> None:
    """A symlink that a glob matches is refused, wherever it leads."""
    (work / "inside").write_text("")
    (work / "link").symlink_to(target)
    with pytest.raises(CatalogError, match="'link' is a symlink, and no file"):
        await catalog.put([glob], work, At())
    assert await nothing_kept(catalog)


@pytest.mark.parametrize("glob", ["link/key", "*/key", "**/key"])
async def test_a_symlink_to_a_folder_is_not_followed(catalog: FileCatalog, work: Path, glob: str) -> None:
    """What lies behind a symlink is not matched, and the message says why."""
    (work / "link").symlink_to("../outside")
    with pytest.raises(CatalogError, match=r"matches no file \(link is a symlink, and is not followed\)"):
        await catalog.put([glob], work, At())
    assert await nothing_kept(catalog)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
async def test_what_is_no_file_is_not_put(catalog: FileCatalog, work: Path, kind: str) -> None:
    """A pipe, a socket and a device are refused, and nobody waits for them."""
    odd = work / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(odd))
    else:
        try:
            os.mknod(odd, 0o020666, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    with pytest.raises(CatalogError, match=r"'odd' is a (named pipe|socket|device), and no file"):
        await catalog.put(["*"], work, At())
    assert await nothing_kept(catalog)


@pytest.mark.parametrize("name", [b"a\nb", b"a\xff", b"a\\b", "a\u202eb".encode()], ids=ascii)
async def test_an_odd_name_is_not_put(catalog: FileCatalog, work: Path, name: bytes) -> None:
    """A name that not every system or text can hold is refused, and shown so that it does no harm."""
    (work / os.fsdecode(name)).write_text("")
    with pytest.raises(CatalogError, match="the path 'a.*b?' holds") as caught:
        await catalog.put(["*"], work, At())
    assert str(caught.value).isprintable()


async def test_hidden_files_need_a_dot(catalog: FileCatalog, work: Path) -> None:
    """What begins with a dot is put only where the glob says so."""
    (work / ".git").mkdir()
    (work / ".git" / "config").write_text("")
    (work / ".env").write_text("")
    (work / "a").write_text("")
    assert ["a"] == [file.path for file in await catalog.put(["**"], work, At())]
    assert [".env", ".git/config"] == [file.path for file in await catalog.put([".*", ".*/*"], work, At())]


async def test_the_catalog_is_not_put_into_itself(work: Path) -> None:
    """A catalog that lies in the working folder is left out."""
    (work / "a").write_text("1")
    catalog = FileCatalog(work / "catalog")
    for _ in range(2):
        assert ["a"] == [file.path for file in await catalog.put(["**"], work, At())]
    with pytest.raises(CatalogError, match="matches no file"):
        await FileCatalog(work).put(["**"], work, At("other"))


async def test_a_symlink_in_the_working_folder_leads_nothing_out(
    catalog: FileCatalog, work: Path, tmp_path: Path
) -> None:
    """What is got replaces a symlink, and is written through none."""
    (work / "sub").mkdir()
    (work / "sub" / "key").write_text("new")
    (work / "key").write_text("new")
    await catalog.put(["**"], work, At())
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "key").symlink_to("../outside/key")
    await catalog.get(["key"], fresh, At())
    assert (False, "new") == ((fresh / "key").is_symlink(), (fresh / "key").read_text())
    (fresh / "sub").symlink_to("../outside")
    with pytest.raises(CatalogError, match="the file sub/key: sub leads through the symlink 'sub'; it would lead out"):
        await catalog.get(["sub/*"], fresh, At())
    assert "canary" == (tmp_path / "outside" / "key").read_text()
    assert ["key"] == [path.name for path in (tmp_path / "outside").iterdir()]


async def test_a_symlink_in_the_catalog_leads_nothing_out(catalog: FileCatalog, work: Path, tmp_path: Path) -> None:
    """A folder of the catalog that somebody made a symlink is not used."""
    (work / "key").write_text("new")
    catalog.run_folder("run").parent.mkdir(parents=True)
    catalog.run_folder("run").symlink_to(tmp_path / "outside")
    with pytest.raises(CatalogError, match="leads through the symlink"):
        await catalog.put(["key"], work, At())
    with pytest.raises(CatalogError, match="leads through the symlink"):
        await catalog.files("run")
    assert ["key"] == [path.name for path in (tmp_path / "outside").iterdir()]


async def test_the_root_and_the_working_folder_may_be_symlinks(tmp_path: Path, work: Path) -> None:
    """What the user names may lead anywhere: it is what was meant."""
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")
    (tmp_path / "there").symlink_to("work")
    (work / "a").write_text("1")
    catalog = FileCatalog(tmp_path / "root")
    await catalog.put(["a"], tmp_path / "there", At())
    assert b"1" == await catalog.read("run", "a")


@pytest.mark.parametrize("globs", [["/etc/passwd"], ["../outside/key"], ["a/../../outside/*"]])
async def test_a_glob_out_of_the_folder_is_refused(catalog: FileCatalog, work: Path, globs: list[str]) -> None:
    """Globs are checked again where they are used, with the task in the message."""
    for use in (catalog.put, catalog.get):
        with pytest.raises(CatalogError, match=r"task report/sort: the glob .* (is absolute|leads upwards)"):
            await use(globs, work, At())


async def test_folders_that_never_end_are_refused(catalog: FileCatalog, work: Path) -> None:
    """Very deep folders are an error, not a crash for want of descriptors."""
    folder = os.open(work, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("d", dir_fd=folder)
        deeper = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)
    with pytest.raises(CatalogError, match="is more than 64 folders deep"):
        await catalog.put(["**"], work, At())

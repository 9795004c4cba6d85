"""Run every example of README.md and docs/, on both backends, and compare what it prints with what the page says.

A fence says what its block is: `python` is run, all blocks of a page in order in one namespace, as one file
whose top level may `await`; `output` is what the `python` block before it prints; `console` holds `$ dagflow ...`
commands and what they print; a block of any language with a title (`yaml title="graphs/triage.yaml"`) is a file, which
is written before the blocks after it are run; `python no-run` and any other fence are left alone.
"""

from __future__ import annotations

import ast
import asyncio
import codeop
import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

import anyio
import attrs
import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
TITLE = re.compile(r' title="([\w./-]+)"$')
KNOWN = {"python", "python no-run", "output", "console", "text", "toml", "json", "mermaid", "bash", "yaml"}


@attrs.frozen
class Block:
    """A fenced block: what its fence says, its text, the number of the line above it, and its title, a file's name."""

    kind: str
    text: str
    line: int
    title: str | None = None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [_block(found, text.count("\n", 0, found.start(2))) for found in FENCE.finditer(text)]


def _block(found: re.Match[str], line: int) -> Block:
    title = TITLE.search(found[1])
    return Block(TITLE.sub("", found[1]), found[2], line, title[1] if title else None)


def with_output(blocks: list[Block]) -> list[tuple[Block, str | None]]:
    """Pair each block that is run, or written, with what the page says that it prints, if it says so."""
    followers = [*blocks[1:], Block("", "", 0)]
    return [
        (block, follower.text if follower.kind == "output" else None)
        for block, follower in zip(blocks, followers, strict=True)
        if block.kind == "python" or block.title is not None
    ]


class Page:
    """A page's examples, as one module; `from __future__` imports hold from their block on."""

    def __init__(self, path: Path, module: ModuleType, backend: str) -> None:
        self.path = path
        self.module = module
        self.backend = backend
        self._compile = codeop.Compile()
        self._compile.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def run(self, block: Block) -> str:
        """Run one block and return what it printed."""
        # Tracebacks then name the line of the page.
        code = self._compile("\n" * block.line + block.text, str(self.path), "exec")
        printed = io.StringIO()
        with redirect_stdout(printed):
            coroutine = eval(code, vars(self.module))
            if coroutine is not None:
                anyio.run(lambda: coroutine, backend=self.backend)
        return printed.getvalue()


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def having(kind: str) -> list[Path]:
    return [page for page in PAGES if any(block.kind == kind for block in blocks_of(page))]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("page", having("python"), ids=name_of)
@pytest.mark.slow
def test_examples_run_and_print_what_the_page_says(
    page: Path, backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every example runs, in the order of its page, and prints what the page says."""
    monkeypatch.chdir(tmp_path)  # some write files
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)  # a page shows what happens without one
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # DSPy loads prices otherwise
    module = ModuleType(f"page_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where forward references are looked up
    monkeypatch.setitem(vars(module), "BACKEND", backend)
    example = Page(page, module, backend)
    for block, output in with_output(blocks_of(page)):
        if block.title is not None:
            file = tmp_path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
            continue
        printed = example.run(block)
        if output is not None:
            assert output == printed, f"{name_of(page)}:{block.line}"


@pytest.mark.parametrize("page", having("console"), ids=name_of)
@pytest.mark.slow
def test_commands_print_what_the_page_says(page: Path) -> None:
    """Every `$ dagflow` command succeeds, and prints on standard output what the page says."""
    for block in blocks_of(page):
        if block.kind != "console":
            continue
        for command, output in re.findall(r"^\$ dagflow (.*)\n((?:[^$].*\n|\n)*)", block.text, re.MULTILINE):
            done = subprocess.run(
                [sys.executable, "-m", "dagflow", *shlex.split(command)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONUTF8": "1"},
                check=False,
            )
            assert 0 == done.returncode, done.stderr
            assert output in ("", done.stdout), f"{name_of(page)}: dagflow {command}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_fences_are_known(page: Path) -> None:
    """Every fence is one that this module knows, so that no example is left out by a slip of the pen."""
    assert set() == {block.kind for block in blocks_of(page)} - KNOWN
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(blocks_of(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    """Every relative link of a page leads to a file that is there."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [] == [link for link in links if not (page.parent / link).exists()]


def test_blocks_of_a_page_share_a_namespace_and_future_imports() -> None:
    """A later block sees the names, and obeys the `from __future__` imports, of those before it."""
    page = Page(Path("page.md"), ModuleType("page"), "asyncio")
    page.run(Block("python", "from __future__ import annotations\nx = 41\n", 0))
    printed = page.run(Block("python", "def f() -> undefined: ...\nprint(x + 1)\n", 3))
    assert "42\n" == printed


def test_a_failing_example_is_reported_at_its_line() -> None:
    """An example that raises fails its test, and the traceback names the line of the page."""
    page = Page(Path("page.md"), ModuleType("page"), "asyncio")
    with pytest.raises(ZeroDivisionError) as caught:
        page.run(Block("python", "import anyio\nawait anyio.sleep(0)\n1 / 0\n", 10))
    assert 13 == caught.traceback[-1].lineno + 1
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()

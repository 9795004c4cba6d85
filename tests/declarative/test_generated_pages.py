"""The pages that are made from the code are what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from dagflow.core.markers import DESCRIPTION
from dagflow.declarative import model
from dagflow.declarative.expressions import FUNCTIONS
from dagflow.declarative.lint import FAULTS, RULES

DOCS = Path(__file__).parents[2] / "docs"


def generated() -> dict[Path, str]:
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "_generate.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[Path, str] = module.pages()
    return pages


PAGES = generated()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_are_up_to_date(path: Path) -> None:
    """Each page is what would be written now; `python docs/_generate.py` writes them all."""
    assert PAGES[path] == path.read_text(encoding="utf-8")


def test_the_reference_has_every_key() -> None:
    """Every key of every class is on the page, with a sentence that ends."""
    page = PAGES[DOCS / "yaml-reference.md"]
    for name in model.__all__:
        cls = getattr(model, name)
        for field in attrs.fields(cls) if isinstance(cls, type) else ():
            if field.name == "type" and cls in model.NODE_TYPES.values():
                continue  # it is said once for all nodes
            description = field.metadata[DESCRIPTION].replace("|", "\\|")
            assert description in page, f"{name}.{field.name}"
            assert description.endswith((".", "...")), f"{name}.{field.name}"
    assert all(f"`{function.signature}`" in page for function in FUNCTIONS.values())


def test_the_linter_page_has_every_rule() -> None:
    """Every code is on the page, every rule under a heading of its own."""
    page = PAGES[DOCS / "linter.md"]
    assert {rule.code for rule in RULES} == set(re.findall(r"^### (DF\d+)$", page, re.MULTILINE))
    assert all(f"| {code} |" in page for code in FAULTS)


def test_links_within_a_page_lead_to_headings() -> None:
    """Every link to a heading of the same page has that heading."""
    for path, page in PAGES.items():
        headings = {
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
        }
        assert set() == set(re.findall(r"\]\(#([^)]+)\)", page)) - headings, path.name

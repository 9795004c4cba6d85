"""A reference: PyYAML's own loader, with the core schema of YAML 1.2 in the place of YAML 1.1's, but its infinities."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["load_by_the_book"]

Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CoreLoader(Base):  # type: ignore[misc]  # which class it is depends on the machine
    yaml_implicit_resolvers: dict[str, Any] = {}


def _resolve(kind: str, pattern: str, read: Any) -> None:
    tag = f"tag:yaml.org,2002:{kind}"
    CoreLoader.add_implicit_resolver(tag, re.compile(rf"(?:{pattern})\Z"), None)
    CoreLoader.add_constructor(tag, lambda loader, node: read(loader.construct_scalar(node)))


_resolve("null", "null|Null|NULL|~|", lambda text: None)
_resolve("bool", "true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true")
_resolve("int", "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", lambda text: int(text, 0 if text[1:2] in ("o", "x") else 10))
_resolve("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float)


def load_by_the_book(text: str) -> Any:
    """Load the one document of a text."""
    return yaml.load(text, CoreLoader)  # it is a safe loader

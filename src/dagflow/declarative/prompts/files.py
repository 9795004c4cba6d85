"""Prompts as they are loaded: from a file of their own, or from the place of its name in a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from dagflow.declarative.model.prompts import PromptFile, PromptSpec
from dagflow.declarative.project import PathError, confined
from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.jinja import parse_jinja
from dagflow.declarative.prompts.schemas import make_class
from dagflow.declarative.prompts.text import PromptText, parse_text
from dagflow.errors import InvalidField
from dagflow.source import Document, SourceError, faults_of, read_file, structure_document

__all__ = ["SUFFIX", "LoadedPrompt", "load_prompt", "prompt_of"]

SUFFIX = ".yaml"

FindClass = Callable[[str], Any]


@attrs.frozen(eq=False)
class LoadedPrompt:
    """A prompt that can be rendered: its texts, and the class of its answer, `None` where that is text.

    `file` and `document` are those of a prompt with a file of its own.
    """

    name: str
    spec: PromptSpec
    text: PromptText
    answer: type[Any] | None = None
    file: Path | None = None
    document: Document | None = None

    @property
    def names(self) -> frozenset[str]:
        """The variables that a value must be given for."""
        return self.text.names

    def render(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Give the system and the user text with the values in them; see `PromptText.render`."""
        return self.text.render(values)


def load_prompt(name: str, *, base: Path, root: Path, find_class: FindClass | None = None) -> LoadedPrompt:
    """Load a prompt file by its name: its path relative to the folder `base`, in the folder `root`, without `.yaml`.

    `find_class` finds the classes that its schema names as `module:Class`; it raises `ValueError` where there is none.

    Raises `PathError` for a path that is refused or leads to nothing, `SourceError` with everything that is wrong in
    the file, each at its line, and `ImportError` where Jinja2 is needed and not installed.
    """
    if name.endswith(SUFFIX):
        raise PathError("prompt", name, f"ends in {SUFFIX}; write {name.removesuffix(SUFFIX)}")
    if not name.strip():
        raise PathError("prompt", name, "is empty")
    root = root.resolve()
    path = confined(f"{name}{SUFFIX}", base=base, root=root, what="prompt")
    document = read_file(path, file=str(path.relative_to(root)))
    spec: PromptFile = structure_document(document, PromptFile)
    try:
        prompt = prompt_of(spec, name=spec.name or Path(name).name, find_class=find_class)
    except PromptError as error:
        raise SourceError(faults_of(document, error.invalid), subject=document.file) from error
    return attrs.evolve(prompt, file=path, document=document)


def prompt_of(spec: PromptSpec, *, name: str, find_class: FindClass | None = None) -> LoadedPrompt:
    """Make a prompt of what a file says of it.

    Raises `PromptError` with everything that is wrong, by its path in the spec, and `ImportError` as `load_prompt`.
    """
    faults: list[InvalidField] = []
    text: PromptText | None = None
    answer: type[Any] | None = None
    parse = parse_jinja if spec.template == "jinja2" else parse_text
    if not spec.user.strip():
        faults.append(InvalidField("$.user", "is empty; write what the model is asked"))
    try:
        text = parse(spec.system, spec.user, spec.variables)
    except PromptError as error:
        faults += error.invalid
    try:
        answer = None if spec.schema is None else make_class(spec.schema, find_class=find_class)
    except PromptError as error:
        faults += [InvalidField(f"$.schema{fault.path.removeprefix('$')}", fault.problem) for fault in error.invalid]
    if text is None or faults:
        raise PromptError(faults)
    return LoadedPrompt(name, spec, text, answer)

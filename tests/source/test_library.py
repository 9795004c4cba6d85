"""PyYAML is imported when a document is read, by one package, and its absence is told with the extra to install."""

from __future__ import annotations

import subprocess
import sys

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined,unused-ignore]

from dagflow.source.scan import best_parser, libyaml_parser, python_parser
from source.reading import NO_LIBYAML


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_it_is_imported_late() -> None:
    """Importing the package costs nothing of it."""
    assert "False" == run("import sys, dagflow.source; print('yaml' in sys.modules)")


def test_its_absence_is_told() -> None:
    """The error names what to install."""
    code = """if True:
        import sys
        sys.modules["yaml"] = None
        from dagflow.source import read_document
        try:
            read_document("a: b", file="x")
        except ImportError as error:
            print(error, error.name)
    """
    assert "YAML graphs need PyYAML: pip install 'dagflow[yaml]' yaml" == run(code)


@NO_LIBYAML
def test_libyaml_is_taken_where_it_is() -> None:
    """It is faster."""
    assert yaml.__with_libyaml__
    assert CParser is libyaml_parser() is best_parser()


def test_without_libyaml_the_parser_in_python_is_taken() -> None:
    """As with PyYAML built from source."""
    code = """if True:
        import sys
        sys.modules["yaml._yaml"] = None
        from dagflow.source import read_document
        from dagflow.source.scan import best_parser, libyaml_parser
        print(libyaml_parser(), best_parser().__name__, read_document("{a: ok?}", file="x").data)
    """
    assert "None PythonParser {'a': 'ok?'}" == run(code)
    assert "PythonParser" == python_parser().__name__

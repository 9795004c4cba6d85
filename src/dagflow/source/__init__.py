"""YAML files: read safely into plain data that knows where everything is, and structured with every fault told."""

from dagflow.source.document import Document, faults_of, structure_document
from dagflow.source.faults import Fault, Mark, SourceError
from dagflow.source.limits import Limits
from dagflow.source.paths import parse_path, show_path
from dagflow.source.reading import read_document, read_file

__all__ = [
    "Document",
    "Fault",
    "Limits",
    "Mark",
    "SourceError",
    "faults_of",
    "parse_path",
    "read_document",
    "read_file",
    "show_path",
    "structure_document",
]

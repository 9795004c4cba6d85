"""A catalog of files: kept once by their hash, with a view for each run."""

from dagflow.catalog.files import FileCatalog
from dagflow.catalog.spec import Catalog, CatalogError, CatalogFile, Place

__all__ = ["Catalog", "CatalogError", "CatalogFile", "FileCatalog", "Place"]

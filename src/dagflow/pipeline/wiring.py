"""Where a pipeline meets its adapters: the services that it has by itself, and those that a configuration names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from dagflow.capture.capture import Capture
from dagflow.catalog.files import FileCatalog
from dagflow.pipeline.ports import NotebookDriver, Services

__all__ = ["completed", "notebook_driver", "read_services"]


async def read_services(path: Path, environ: Mapping[str, str]) -> Services:
    """Read a configuration file (JSON where its name ends with `.json`, else YAML), and make what it names.

    Paths in it are relative to its folder. Plug-ins that it names are imported. Raises `ConfigurationError` with
    everything that is wrong, and `PluginError` for a plug-in that cannot be made from its options.
    """
    from dagflow.configuration.reading import load_configuration  # most runs have no such file
    from dagflow.pipeline.configured import InstalledTypes, services_of

    return services_of(await load_configuration(path, environment=environ, plugins=InstalledTypes()), environ)


def completed(services: Services) -> Services:
    """Add the service that every run has: what tasks print is captured.

    It is kept in the run's folder, or in that of the catalog, where there is one, unless the run is given a capture
    that keeps it elsewhere.
    """
    capture = Capture() if services.capture is None else services.capture
    if isinstance(capture, Capture):
        capture = capture.kept_in(_folder_of(services))
    return attrs.evolve(services, capture=capture)


def notebook_driver(services: Services) -> NotebookDriver:
    """Give what runs notebooks: Jupyter, unless the run is given something else."""
    if services.notebooks is not None:
        return services.notebooks
    from dagflow.notebook.driver import JupyterDriver  # few pipelines have notebooks

    return JupyterDriver()


def _folder_of(services: Services) -> Callable[[str], Path] | None:
    folder, catalog = services.run_folder, services.catalog
    if folder is not None:
        kept = folder / "output"
        return lambda run_id: kept
    if isinstance(catalog, FileCatalog):
        return lambda run_id: catalog.run_folder(run_id) / "output"
    return None

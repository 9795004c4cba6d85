"""Third-party packages for tests: a wheel that pip installs, and the folders that an installation leaves."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["build_wheel", "install"]

EntryPoints = Mapping[str, Mapping[str, str]]
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(package: Path, folder: Path, *, name: str, points: EntryPoints) -> Path:
    """Build the wheel of a package, as a build backend does."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for module in package.glob("*.py"):
            archive.write(module, f"{package.name}/{module.name}")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", WHEEL)
        archive.writestr(f"{info}/entry_points.txt", entry_points_text(points))
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def install(
    site: Path, name: str, points: EntryPoints | str, modules: Mapping[str, str] | None = None, *, version: str = "1.0"
) -> None:
    """Leave in `site` what installing a distribution leaves; `points` may be the text of its entry points."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(points if isinstance(points, str) else entry_points_text(points))
    for module, source in (modules or {}).items():
        (site / f"{module}.py").write_text(source)


def entry_points_text(points: EntryPoints) -> str:
    return "\n".join(
        "\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in named.items())])
        for group, named in points.items()
    )

"""What goes wrong with plug-ins."""

from __future__ import annotations

from dagflow.errors import DagflowError

__all__ = ["PluginError"]


class PluginError(DagflowError):
    """Raised when a plug-in is not there, is there twice, or is broken.

    `distribution` is the package that it came with and its version (`acme-dagflow 1.2`; of both, for one that is there
    twice), and `entry_point` the line that registers it (`dagflow.stores: s3 = acme.stores:S3Store`). Both are empty
    for a plug-in that is not there. What its module raised is the cause.
    """

    def __init__(self, message: str, *, distribution: str = "", entry_point: str = "") -> None:
        super().__init__(message)
        self.distribution = distribution
        self.entry_point = entry_point

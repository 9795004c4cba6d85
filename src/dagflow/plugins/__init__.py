"""Plug-ins: tasks, executors, stores, language models, secrets and catalogs of other packages, by entry points."""

from dagflow.plugins.finding import find, load, names, problems
from dagflow.plugins.installed import Plugin, forget
from dagflow.plugins.kinds import KINDS
from dagflow.plugins.options import PluginOptions, read_options
from dagflow.plugins.problems import PluginError

__all__ = [
    "KINDS",
    "Plugin",
    "PluginError",
    "PluginOptions",
    "find",
    "forget",
    "load",
    "names",
    "problems",
    "read_options",
]

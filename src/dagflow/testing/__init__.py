"""Testing support, part of the public API: fakes, fault plans, virtual clocks and leak checks."""

from dagflow.testing.leaks import assert_no_leaks
from dagflow.testing.scripted import ScriptedLM

__all__ = ["ScriptedLM", "assert_no_leaks"]

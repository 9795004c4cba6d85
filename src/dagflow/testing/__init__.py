"""Testing support, part of the public API: fakes, fault plans, virtual clocks and leak checks."""

from dagflow.testing.scripted import ScriptedLM

__all__ = ["ScriptedLM"]

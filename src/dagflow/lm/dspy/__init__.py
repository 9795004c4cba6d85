"""DSPy as a language model: signatures from typed requests, and answers through DSPy's adapters."""

from dagflow.lm.dspy.backend import DSPyBackend

__all__ = ["DSPyBackend"]

"""Testing support, part of the public API: fakes, fault plans, virtual clocks and leak checks."""

from dagflow.testing.clock import Deadlock, run_virtual, virtual_backend
from dagflow.testing.faults import Fault, FaultPlan, Outcome, cancel_at, raise_at, sweep_cancellations
from dagflow.testing.leaks import assert_no_leaks
from dagflow.testing.scripted import ScriptedLM

__all__ = [
    "Deadlock",
    "Fault",
    "FaultPlan",
    "Outcome",
    "ScriptedLM",
    "assert_no_leaks",
    "cancel_at",
    "raise_at",
    "run_virtual",
    "sweep_cancellations",
    "virtual_backend",
]

"""Testing support, part of the public API: fakes, servers, cassettes, fault plans, virtual clocks and leak checks."""

from dagflow.executors.mocked import MockedExecutor
from dagflow.kernel.fault_points import armed
from dagflow.testing.blocking import BlockingCall, EventLoopBlocked, blocking_detector
from dagflow.testing.cassette import RecordingLM, ReplayingLM, record_or_replay
from dagflow.testing.clock import Deadlock, run_virtual, virtual_backend
from dagflow.testing.faults import Fault, FaultPlan, Outcome, cancel_at, raise_at, sweep_cancellations
from dagflow.testing.faulty_lm import FaultyLM
from dagflow.testing.leaks import assert_no_leaks
from dagflow.testing.lm_server import LMServer, Reply
from dagflow.testing.redis_server import RedisServer
from dagflow.testing.scripted import ScriptedLM

__all__ = [
    "BlockingCall",
    "Deadlock",
    "EventLoopBlocked",
    "Fault",
    "FaultPlan",
    "FaultyLM",
    "LMServer",
    "MockedExecutor",
    "Outcome",
    "RecordingLM",
    "RedisServer",
    "ReplayingLM",
    "Reply",
    "ScriptedLM",
    "armed",
    "assert_no_leaks",
    "blocking_detector",
    "cancel_at",
    "raise_at",
    "record_or_replay",
    "run_virtual",
    "sweep_cancellations",
    "virtual_backend",
]

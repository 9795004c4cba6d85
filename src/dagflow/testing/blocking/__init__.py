"""Find calls that block an event loop's thread, on asyncio and on trio."""

from dagflow.testing.blocking.detector import BlockingCall, EventLoopBlocked, blocking_detector
from dagflow.testing.blocking.interception import intercepting

__all__ = ["BlockingCall", "EventLoopBlocked", "blocking_detector", "intercepting"]

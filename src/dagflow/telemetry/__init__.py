"""OpenTelemetry spans of runs; nothing else here knows OpenTelemetry, and only its API is used."""

try:
    import opentelemetry.trace  # noqa: F401
except ImportError as _error:
    raise ImportError(f"dagflow.telemetry needs opentelemetry-api: pip install 'dagflow[otel]' ({_error})") from _error

from dagflow.telemetry.spans import EventTracer, trace_events
from dagflow.telemetry.traced import traced

__all__ = ["EventTracer", "trace_events", "traced"]

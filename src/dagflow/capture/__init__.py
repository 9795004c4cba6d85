"""Captured output: what each task prints, logs and has its programs write, told apart also where tasks run at once."""

from dagflow.capture.capture import Capture, CaptureError, Place
from dagflow.capture.channel import Stream
from dagflow.capture.current import capturing, current_output
from dagflow.capture.masking import MaskedStream, Masker
from dagflow.capture.output import TaskOutput

__all__ = [
    "Capture",
    "CaptureError",
    "MaskedStream",
    "Masker",
    "Place",
    "Stream",
    "TaskOutput",
    "capturing",
    "current_output",
]

"""Measures dagflow side by side with hand-written code and with other engines: `python -m benchmarks`."""

"""The command line: synchronous commands, with one event loop at their boundary."""

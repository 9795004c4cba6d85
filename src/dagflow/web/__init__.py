"""Runs behind HTTP: event streams and answers that end with their client, limits, and servers to run them in.

Everything here is plain ASGI, for asyncio and trio alike, and needs no web framework; `dagflow.web.responses` lets
Starlette and FastAPI return it.
"""

"""Structured-concurrency dataflow for language-model and data workflows, on asyncio and trio alike."""

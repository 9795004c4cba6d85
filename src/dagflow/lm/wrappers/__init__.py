"""Wrappers: language models made of others, which retry, limit, keep, race and budget requests."""

from dagflow.lm.wrappers.budget import Budgeted, budgeted
from dagflow.lm.wrappers.cache import Cached, cached
from dagflow.lm.wrappers.chain import Fallback, fallback
from dagflow.lm.wrappers.hedge import Hedged, hedged
from dagflow.lm.wrappers.rate import RateLimited, rate_limited
from dagflow.lm.wrappers.retry import Retrying, retrying

__all__ = [
    "Budgeted",
    "Cached",
    "Fallback",
    "Hedged",
    "RateLimited",
    "Retrying",
    "budgeted",
    "cached",
    "fallback",
    "hedged",
    "rate_limited",
    "retrying",
]

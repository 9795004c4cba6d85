"""Journals in Redis: many machines may share them, and a run may go on where another one died.

For a plain Redis, 6.2 or later, without modules; not for Redis Cluster, where the keys of one script must be on one
node. Sentinel and managed services do where they offer one address.

Layout, below a prefix (`dagflow:`); a thread's id stands at the end of its keys, as it is:

==================  ===========  =====================================================================================
`threads`           sorted set   the ids of all threads, by the time they were created, negated: so the newest come
                                 first, and threads of one moment by id
`thread:<id>`       hash         `graph` and `status` (the head), `created` and `updated` (seconds since the epoch),
                                 `owner` and `first`: whose lease the last append had, and the number it began at
`records:<id>`      list         the texts of the records; number n has index n - 1
`values:<id>`       hash         the texts of values by digest
`lease:<id>`        hash         `owner`, and `cancel` where somebody asked for that; expires (`PEXPIRE`)
==================  ===========  =====================================================================================

Whatever must happen as a whole is one Lua script (`scripts`). Times are the server's, so that the clocks of the
machines that write need not agree.
"""

from dagflow.store.redis.store import RedisStore

__all__ = ["RedisStore"]

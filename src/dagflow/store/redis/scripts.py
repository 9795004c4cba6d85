"""The Lua scripts: what must happen as a whole, each one step for the server.

Every key that a script touches is one of `KEYS`. The order of a thread's keys is the same everywhere (`Keys.thread`):
lease, thread, records, values, threads.

A script that writes what takes memory begins with a command that a full server refuses (`RPUSH`, `HSET`): the server
checks its memory, its disk and its role before the first write of a script only, so that no script is cut in two.
"""

from __future__ import annotations

import hashlib

import attrs

__all__ = ["ACQUIRE", "APPEND", "CANCEL", "DELETE", "RELEASE", "RENEW", "SUMMARISE", "Script"]


@attrs.frozen
class Script:
    """A script with the digest under which the server knows it once it has seen it."""

    text: bytes
    digest: bytes

    @classmethod
    def of(cls, text: str) -> Script:
        """Make a script of its source."""
        source = text.strip().encode()
        return cls(source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())


OUTLIVE = """
local function outlive(milliseconds)  -- what expires is kept while the lease is out
    for index = 2, 4 do
        local left = redis.call('PTTL', KEYS[index])
        if left >= 0 and left < milliseconds then redis.call('PEXPIRE', KEYS[index], milliseconds) end
    end
end
"""

ACQUIRE = Script.of(
    OUTLIVE
    + """
local owner, milliseconds = ARGV[1], tonumber(ARGV[2])
local holder = redis.call('HGET', KEYS[1], 'owner')
if holder and holder ~= owner then return -1 end
redis.call('HSET', KEYS[1], 'owner', owner)
redis.call('PEXPIRE', KEYS[1], milliseconds)
outlive(milliseconds)
return redis.call('LLEN', KEYS[3])
"""
)
"""Takes a lease: gives the number of the newest record, or -1 where another has it."""

RENEW = Script.of(
    OUTLIVE
    + """
local owner, milliseconds, base = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lease = redis.call('HMGET', KEYS[1], 'owner', 'cancel')
if not lease[1] then
    -- It expired. Nobody else can have used it if nothing was written since we acquired it or wrote ourselves.
    local untouched = redis.call('LLEN', KEYS[3]) == base or redis.call('HGET', KEYS[2], 'owner') == owner
    if base < 0 or not untouched then return -1 end
    redis.call('HSET', KEYS[1], 'owner', owner)
elseif lease[1] ~= owner then
    return -1
end
redis.call('PEXPIRE', KEYS[1], milliseconds)
outlive(milliseconds)
return lease[2] and 1 or 0
"""
)
"""Keeps a lease: gives 1 where its run was asked to cancel, 0 where not, -1 where it is lost."""

RELEASE = Script.of(
    """
local owner, ttl = ARGV[1], tonumber(ARGV[2])
local thread = redis.call('HMGET', KEYS[2], 'owner', 'updated')
-- So that neither an append nor a renewal that comes late takes the lease again.
if thread[1] == owner then redis.call('HDEL', KEYS[2], 'owner') end
if redis.call('HGET', KEYS[1], 'owner') ~= owner then return 0 end
redis.call('DEL', KEYS[1])
if ttl > 0 and thread[2] then
    local gone = math.floor(tonumber(thread[2]) * 1000) + ttl
    for index = 2, 4 do redis.call('PEXPIREAT', KEYS[index], gone) end
end
return 1
"""
)
"""Gives a lease back, where it is held still, and lets the thread expire when its time comes."""

APPEND = Script.of(
    """
local owner, milliseconds, base, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local first, count, id = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local has_head, graph, status = ARGV[8] == '1', ARGV[9], ARGV[10]
local texts = 10

local holder = redis.call('HGET', KEYS[1], 'owner')
local newest = redis.call('LLEN', KEYS[3])
local writer = redis.call('HMGET', KEYS[2], 'owner', 'first')
local ours = writer[1] == owner

if ours and tonumber(writer[2]) == first and newest == first + count - 1 then
    local same = true
    for index, text in ipairs(redis.call('LRANGE', KEYS[3], -count, -1)) do
        same = same and text == ARGV[texts + index]
    end
    if same then return {'ok'} end  -- also where the lease has gone since: it is written
end
if holder and holder ~= owner then return {'lost'} end
if not holder and (base < 0 or not (ours or newest == base)) then return {'lost'} end
if first ~= newest + 1 then return {'gap', newest} end

local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
for index = 1, count do redis.call('RPUSH', KEYS[3], ARGV[texts + index]) end
redis.call('HSET', KEYS[2], 'owner', owner, 'first', first, 'updated', now)
if newest == 0 then
    redis.call('HSET', KEYS[2], 'created', now, 'graph', '', 'status', 'running')
    redis.call('ZADD', KEYS[5], '-' .. now, id)
end
if has_head then redis.call('HSET', KEYS[2], 'graph', graph, 'status', status) end
for index = texts + count + 1, #ARGV, 2 do redis.call('HSETNX', KEYS[4], ARGV[index], ARGV[index + 1]) end
if not holder then redis.call('HSET', KEYS[1], 'owner', owner) end
redis.call('PEXPIRE', KEYS[1], milliseconds)
for index = 2, 4 do
    if ttl > 0 then
        redis.call('PEXPIRE', KEYS[index], math.max(ttl, milliseconds))
    else
        redis.call('PERSIST', KEYS[index])
    end
end
return {'ok'}
"""
)
"""Appends, or recognises what was appended just now: gives `ok`, `lost`, or `gap` with the number of the newest."""

CANCEL = Script.of(
    """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'cancel', '1')
return 1
"""
)
"""Leaves a request to cancel with the lease: gives 1, or 0 where nobody holds it."""

DELETE = Script.of(
    """
if redis.call('EXISTS', KEYS[1]) == 1 then return -1 end
local there = redis.call('EXISTS', KEYS[3])
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
return there
"""
)
"""Removes a thread: gives 1, or 0 where there was none, or -1 where somebody holds its lease."""

SUMMARISE = Script.of(
    """
local found = {}
for index, id in ipairs(ARGV) do
    local place = 3 * index - 1
    local records = redis.call('LLEN', KEYS[place + 2])
    if records == 0 then
        redis.call('ZREM', KEYS[1], id)  -- it has expired
        found[index] = false
    else
        local thread = redis.call('HMGET', KEYS[place + 1], 'graph', 'status', 'created', 'updated')
        thread[5], thread[6] = records, redis.call('EXISTS', KEYS[place])
        found[index] = thread
    end
end
return found
"""
)
"""Describes threads, and takes those that have expired from the listing.

Its keys are that of the listing, then lease, thread and records of each.
"""

"""What is done in Redis in one go, in Lua.

Each script, the lanes' apart, is given the prefix of all keys as its only key and makes the others
from it: `PREFIX{batch:ID}:events` and so on. It touches a batch and the indexes over all batches,
which a Redis Cluster would keep on different nodes: therefore `no-cluster`.

Redis runs a script alone and to its end, but takes nothing back when one breaks off. So whatever
can be refused is asked first. Out of memory, the server refuses a script before it begins.
"""

from typing import Final

_NAMES: Final = """
local prefix, batch = KEYS[1], ARGV[1]
local meta = prefix .. '{batch:' .. batch .. '}:meta'
local events = prefix .. '{batch:' .. batch .. '}:events'
local answers = prefix .. '{batch:' .. batch .. '}:answers'
local created, unfinished = prefix .. 'created', prefix .. 'unfinished'
local finished, once = prefix .. 'finished', prefix .. 'once'
"""

_ADD: Final = """
-- Events stand in ARGV from `first` on; none is ever removed, so their count is the last number.
local function add(token, turn, latest_s, first)
    local seq = redis.call('XLEN', events)
    if #ARGV < first then return seq end
    for n = first, #ARGV do
        seq = seq + 1
        redis.call('XADD', events, seq .. '-0', 'event', ARGV[n])
    end
    redis.call('HSET', answers, token, seq)
    if turn == 'open' then
        redis.call('ZADD', unfinished, redis.call('HGET', meta, 'created_at_s'), batch)
        redis.call('ZREM', finished, batch)
    elseif turn == 'ended' then
        redis.call('ZREM', unfinished, batch)
        redis.call('ZADD', finished, latest_s, batch)
    else
        redis.call('ZADD', finished, 'XX', latest_s, batch)
    end
    redis.call('PUBLISH', prefix .. 'doorbell', batch .. ' ' .. seq)
    return seq
end
"""

_HEAD: Final = "#!lua flags=no-cluster" + _NAMES
_HEAD_THAT_FREES: Final = "#!lua flags=no-cluster,allow-oom" + _NAMES

CREATE: Final = (
    _HEAD
    + _ADD
    + """
local token, created_at_s, is_single = unpack(ARGV, 2, 4)
local text, digest, until_s, owner, latest_s = unpack(ARGV, 5, 9)
if redis.call('HEXISTS', answers, token) == 1 then return batch end
if tonumber(redis.call('TIME')[1]) >= tonumber(latest_s) then
    return redis.error_reply('ERR the order came too late: nobody waits for it any more')
end
if redis.call('EXISTS', meta) == 1 then return redis.error_reply('ERR the batch is there') end
if text ~= '' then
    local kept = redis.call('HGET', once, text)
    if kept then
        local kept_until_s, kept_digest, kept_batch = kept:match('^(%S+) (%S*) (.*)$')
        if tonumber(kept_until_s) > tonumber(created_at_s) then
            return kept_digest == digest and kept_batch
        end
    end
    redis.call('ZADD', once .. '-ends', until_s, text)
    redis.call('HSET', once, text, until_s .. ' ' .. digest .. ' ' .. batch)
    redis.call('HSET', meta, 'named_until_s', until_s)
end
redis.call('HSET', meta, 'epoch', 1, 'created_at_s', created_at_s, 'owner', owner)
if is_single == '' then
    redis.call('ZADD', created, created_at_s, batch)
    redis.call('ZADD', created .. ':' .. owner, created_at_s, batch)
end
add(token, 'open', created_at_s, 10)
return batch
"""
)
"""Of: batch, token, created_at_s, '1' for a single slide, key ('': none), its digest, its until_s,
the owner, the second of the server's clock from which on it is too late, the first event. The
batch that the key stands for; nothing when for another request."""

LEASE: Final = (
    _HEAD
    + """
local token = ARGV[2]
local answered = redis.call('HGET', answers, token)
if answered then return tonumber(answered) end
if redis.call('EXISTS', meta) == 0 then
    redis.call('ZREM', unfinished, batch)  -- else it is looked for, and not found, without end
    return false
end
local epoch = redis.call('HINCRBY', meta, 'epoch', 1)
redis.call('HSET', answers, token, epoch)
return epoch
"""
)
"""Of: batch, token. The new epoch; nothing when there is no such batch."""

MOVED: Final = -1
"""Instead of a number: the last event has another one than was said."""

APPEND: Final = (
    _HEAD
    + _ADD
    + """
local token, epoch, at, turn, latest_s = unpack(ARGV, 2, 6)
local answered = redis.call('HGET', answers, token)
if answered then return tonumber(answered) end
local current = redis.call('HGET', meta, 'epoch')
if not current or (epoch ~= '' and epoch ~= current) then return false end
if at ~= '' and tonumber(at) ~= redis.call('XLEN', events) then return -1 end
return add(token, turn, latest_s, 7)
"""
)
"""Of: batch, token, epoch ('': whoever runs it), the last event's number ('': whichever),
'ended' or 'open' or '' as the batch is from now on or as before, when the last event happened, the
events. The last number; nothing when fenced, `MOVED` when it is another one than was said."""

FORGET: Final = (
    _HEAD_THAT_FREES
    + """
local before_s, now_s, offset, count = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ends = once .. '-ends'
local texts = redis.call('ZRANGEBYSCORE', ends, '-inf', now_s, 'LIMIT', 0, count)
for _, text in ipairs(texts) do
    redis.call('HDEL', once, text)
    redis.call('ZREM', ends, text)
end
local old = redis.call('ZRANGEBYSCORE', finished, '-inf', '(' .. before_s, 'LIMIT', offset, count)
local kept = 0
for _, id in ipairs(old) do
    local stem = prefix .. '{batch:' .. id .. '}:'
    local named_until_s = redis.call('HGET', stem .. 'meta', 'named_until_s')
    if named_until_s and tonumber(named_until_s) > tonumber(now_s) then
        kept = kept + 1
    else
        local owner = redis.call('HGET', stem .. 'meta', 'owner') or ''
        redis.call('ZREM', created .. ':' .. owner, id)
        redis.call('UNLINK', stem .. 'meta', stem .. 'events', stem .. 'answers')
        redis.call('ZREM', finished, id)
        redis.call('ZREM', created, id)
    end
end
return {#texts, #old - kept, kept}
"""
)
"""Of: '', before_s, now_s, how many old batches to pass over and to look at. How many keys
and batches were dropped, and how many batches stay because of a key."""

ADD_COST: Final = """#!lua flags=no-cluster
local owner, day, cost_usd, limit_usd, rounding_usd, keep_s = unpack(ARGV)
local spending = KEYS[1] .. 'spending:' .. day
local spent_usd = tonumber(redis.call('HGET', spending, owner) or 0)
limit_usd = tonumber(limit_usd)
if limit_usd then
    if spent_usd >= limit_usd - rounding_usd then return 0 end
    if spent_usd + cost_usd > limit_usd + rounding_usd then return 0 end
end
redis.call('HINCRBYFLOAT', spending, owner, cost_usd)
redis.call('EXPIRE', spending, keep_s)
return 1
"""
"""Of: owner, day, how much more, the limit ('': none), by how much sums may be beside it, for how
many seconds the day is kept. 1, or 0 where the limit forbids it."""

PUT_RESULT: Final = """#!lua flags=no-cluster
local results = KEYS[1] .. 'results'
local ages, sizes, total = results .. '-ages', results .. '-sizes', results .. '-bytes'
local key, made_at_s, size, max_bytes, body = unpack(ARGV)
local there_s = redis.call('ZSCORE', ages, key)
if there_s and tonumber(there_s) > tonumber(made_at_s) then return end
redis.call('ZADD', ages, made_at_s, key)
redis.call('HSET', results, key, body)
redis.call('INCRBY', total, size - (redis.call('HGET', sizes, key) or 0))
redis.call('HSET', sizes, key, size)
while tonumber(redis.call('GET', total)) > tonumber(max_bytes) do
    local oldest = redis.call('ZPOPMIN', ages)[1]
    if not oldest then return end
    redis.call('DECRBY', total, redis.call('HGET', sizes, oldest))
    redis.call('HDEL', sizes, oldest)
    redis.call('HDEL', results, oldest)
end
"""
"""Of: key, made_at_s, size_bytes, the most bytes in all, body."""

FORGET_RESULTS: Final = """#!lua flags=no-cluster,allow-oom
local results = KEYS[1] .. 'results'
local ages, sizes, total = results .. '-ages', results .. '-sizes', results .. '-bytes'
local old = redis.call('ZRANGEBYSCORE', ages, '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, key in ipairs(old) do
    redis.call('DECRBY', total, redis.call('HGET', sizes, key))
    redis.call('HDEL', sizes, key)
    redis.call('HDEL', results, key)
    redis.call('ZREM', ages, key)
end
return #old
"""
"""Of: before_s, how many at most. How many were dropped."""

PUT_SESSION_FILE: Final = """#!lua flags=no-cluster
local session, action, run, token, body, keep_s, keep_answer_s = unpack(ARGV)
local files = KEYS[1] .. '{session:' .. session .. '}:files'
local answers = KEYS[1] .. '{session:' .. session .. '}:answers'
local answered = redis.call('HGET', answers, token)
if answered then return answered end
local name
repeat
    name = session .. '_' .. action .. (run == '1' and '' or '_' .. run) .. '.json'
    run = tostring(run + 1)
until redis.call('HSETNX', files, name, body) == 1
redis.call('HSET', answers, token, name)
redis.call('EXPIRE', files, keep_s)
redis.call('EXPIRE', answers, keep_answer_s)
return name
"""
"""Of: session, action, the first run it may be, token, body, for how many seconds the session's
files stay, and its tokens. The file's name."""

FIND_REFUSED: Final = """#!lua flags=no-writes,no-cluster
local asked, refused = [[
GET k;SET k v;EXISTS k;UNLINK k;EXPIRE k 1;INCRBY k 1;DECRBY k 1
HGET k f;HMGET k f;HGETALL k;HSET k f v;HSETNX k f v;HDEL k f;HEXISTS k f
HINCRBY k f 1;HINCRBYFLOAT k f 1
ZADD k 1 m;ZREM k m;ZSCORE k m;ZRANGE k 0 1;ZRANGEBYSCORE k 0 1;ZPOPMIN k;ZINTERCARD 1 k
XADD k 1-0 f v;XLEN k;XRANGE k - +
PUBLISH c m;SUBSCRIBE c;PING;TIME;EVALSHA s 1 k;SCRIPT LOAD s
]], {}
local mine = {k = KEYS[1] .. 'x', c = KEYS[1] .. 'x'}
for command in asked:gmatch('[^;%c]+') do
    local words = {}
    for word in command:gmatch('%S+') do words[#words + 1] = mine[word] or word end
    if not redis.acl_check_cmd(unpack(words)) then refused[#refused + 1] = words[1] end
end
return refused
"""
"""Which of the commands that are used here, with keys (`k`) and channels (`c`) that begin with
the prefix, the user is refused. Nothing is done."""

SWAP_LANE: Final = """#!lua flags=allow-oom
local lane, expected, version, body, keep_s = KEYS[1], unpack(ARGV)
local time = redis.call('TIME')
local there = redis.call('HGET', lane, 'version') or ''
if there ~= expected then
    return {time[1], time[2], there, redis.call('HGET', lane, 'body')}
end
redis.call('HSET', lane, 'version', version, 'body', body)
redis.call('EXPIRE', lane, keep_s)
return {time[1], time[2], version, false}
"""
"""Its only key is the lane's own. Of: version expected ('': none), the new one, its body, how long
to keep it in seconds. The server's time in seconds and microseconds, the version there now,
its body unless it is the new one."""

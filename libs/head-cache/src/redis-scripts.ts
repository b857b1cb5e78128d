import { script } from '@parley/redis-client';

/*
 * A conversation is one hash: `seq`, `sealed`, `head` (JSON of the rest), `first` (the first entry there is), `bytes`, and
 * for each entry n: `e<n>` its JSON, `m<n>` "ordinal memberSeq target", target being that of an edit or 0, and as long
 * as it has content `r<n>`, the JSON that takes its place when it is deleted, up to the time of deletion; `d<n>` is that
 * time once it was. Lua's own JSON would not give back what it was given (empty lists, large numbers).
 */
/** KEYS: conversation. ARGV: ttl, entries at most, bytes at most, seq, sealed, head, then per entry: seq, JSON, what
 *  takes its place or '', ordinal, memberSeq, kind, target or 0, time of deletion or that of a delete, or ''. */
export const PUT = script(`
local key = KEYS[1]
local was = redis.call('HMGET', key, 'seq', 'sealed', 'first', 'bytes')
local known, sealed = tonumber(was[1] or -1), math.max(tonumber(was[2] or 0), tonumber(ARGV[5]))
local head = tonumber(ARGV[4])
redis.call('HSET', key, 'sealed', string.format('%.0f', sealed))
redis.call('PEXPIRE', key, ARGV[1])
if head <= known then return known end

local n = function(seq) return string.format('%.0f', seq) end
local first, bytes = tonumber(was[3] or 1), tonumber(was[4] or 0)
local function drop(upTo)
  while first <= upTo do
    local at = n(first)
    bytes = bytes - redis.call('HSTRLEN', key, 'e' .. at)
    redis.call('HDEL', key, 'e' .. at, 'm' .. at, 'r' .. at, 'd' .. at)
    first = first + 1
  end
end
local function redact(seq, sentAt)
  local at = n(seq)
  redis.call('HSETNX', key, 'd' .. at, sentAt)
  local left = redis.call('HGET', key, 'r' .. at)
  if not left then return end
  local json = left .. sentAt .. '"}'
  bytes = bytes - redis.call('HSTRLEN', key, 'e' .. at) + #json
  redis.call('HSET', key, 'e' .. at, json)
  redis.call('HDEL', key, 'r' .. at)
end
local joins = ARGV[7] and tonumber(ARGV[7]) <= known + 1
if not joins then
  if known >= 0 then drop(known) end
  first = tonumber(ARGV[7] or head + 1)
end

for base = 7, #ARGV, 8 do
  local seq = tonumber(ARGV[base])
  if seq > known then
    local at, json, left, kind = n(seq), ARGV[base + 1], ARGV[base + 2], ARGV[base + 5]
    local target, time = tonumber(ARGV[base + 6]), ARGV[base + 7]
    local edited = kind == 'edit' and ARGV[base + 6] or '0'
    redis.call('HSET', key, 'e' .. at, json, 'm' .. at, ARGV[base + 3] .. ' ' .. ARGV[base + 4] .. ' ' .. edited)
    bytes = bytes + #json
    if left ~= '' then redis.call('HSET', key, 'r' .. at, left) end
    if kind == 'delete' then
      if target >= first then redact(target, time) end
      for other = first, seq - 1 do
        local meta = redis.call('HGET', key, 'm' .. n(other))
        if meta and tonumber(string.match(meta, '(%d+)$')) == target then redact(other, time) end
      end
    elseif time ~= '' then
      redis.call('HSET', key, 'd' .. at, time)
    elseif kind == 'edit' and target < first then
      drop(seq)
    elseif kind == 'edit' then
      local deletedAt = redis.call('HGET', key, 'd' .. n(target))
      if deletedAt then redact(seq, deletedAt) end
    end
  end
end
drop(head - ARGV[2])
while bytes > tonumber(ARGV[3]) and first <= head do drop(first) end
redis.call('HSET', key, 'seq', ARGV[4], 'head', ARGV[6], 'first', n(first), 'bytes', n(bytes))
return head`);

/** KEYS: conversation. ARGV: after, limit. Answers seq, sealed, head, first, then JSON and "ordinal memberSeq …" of each. */
export const RECENT = script(`
local is = redis.call('HMGET', KEYS[1], 'seq', 'sealed', 'head', 'first')
if not is[1] then return {} end
local from = math.max(tonumber(ARGV[1]) + 1, tonumber(is[4]))
for seq = from, math.min(from + ARGV[2] - 1, tonumber(is[1])) do
  local at = string.format('%.0f', seq)
  local entry = redis.call('HMGET', KEYS[1], 'e' .. at, 'm' .. at)
  is[#is + 1] = entry[1]
  is[#is + 1] = entry[2]
end
return is`);

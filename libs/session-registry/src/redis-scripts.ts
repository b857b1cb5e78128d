import { script } from '@parley/redis-client';

/*
 * Keys of a shard: the epochs of servers (a hash), when each server was last heard of (a sorted set), and a hash per
 * user: session id → "expiresAtMs order epoch serverId deviceId". The clock is the server's: those of chat servers
 * differ. A user's hash is small (`maxSessionsPerUser`), so reading it whole costs less than keeping an index.
 */

const SHARED = `
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local epochs = {}
local function epochOf(server)
  local epoch = epochs[server]
  if not epoch then
    epoch = tonumber(redis.call('HGET', KEYS[1], server) or 0)
    epochs[server] = epoch
  end
  return epoch
end
local function parts(value)
  local expires, order, epoch, server, device = string.match(value, '^(%d+) (%d+) (%d+) (%S+) (%S+)$')
  return tonumber(expires), tonumber(order), tonumber(epoch), server, device
end
`;

/** KEYS: epochs, seen. ARGV: server, epoch, how long a silent server is remembered, how many are. */
export const ANNOUNCE = script(`${SHARED}
if tonumber(ARGV[2]) > epochOf(ARGV[1]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
redis.call('ZADD', KEYS[2], nowMs, ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', nowMs - ARGV[3], 'LIMIT', 0, 100)
local beyond = redis.call('ZCARD', KEYS[2]) - #gone - ARGV[4]
if beyond > 0 then
  for _, server in ipairs(redis.call('ZRANGE', KEYS[2], #gone, #gone + math.min(beyond, 100) - 1)) do
    gone[#gone + 1] = server
  end
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
  redis.call('ZREM', KEYS[2], unpack(gone))
end
return #gone`);

/**
 * KEYS: epochs, then the user of each session. ARGV: ttl, sessions per user, 1 to keep the order of a session that is
 * there (refresh), then session id, epoch, server, device of each.
 */
export const HOLD = script(`${SHARED}
local ttl, max = tonumber(ARGV[1]), tonumber(ARGV[2])
for at = 2, #KEYS do
  local key, base = KEYS[at], 3 + (at - 2) * 4
  local id, epoch, server, device = ARGV[base + 1], tonumber(ARGV[base + 2]), ARGV[base + 3], ARGV[base + 4]
  local known = epochOf(server)
  if epoch > known then
    redis.call('HSET', KEYS[1], server, epoch)
    epochs[server] = epoch
    known = epoch
  end
  if epoch == known then
    local order
    if ARGV[3] == '1' then
      local value = redis.call('HGET', key, id)
      if value then
        local _, was, heldEpoch, heldBy = parts(value)
        if heldEpoch == epoch and heldBy == server then order = was end
      end
    end
    if not order then
      order = 1
      local live = {}
      local all = redis.call('HGETALL', key)
      for field = 1, #all, 2 do
        local expires, was, heldEpoch, heldBy = parts(all[field + 1])
        if was >= order then order = was + 1 end
        if expires <= nowMs or heldEpoch < epochOf(heldBy) then redis.call('HDEL', key, all[field])
        elseif all[field] ~= id then live[#live + 1] = {was, all[field]} end
      end
      if #live >= max then
        table.sort(live, function(a, b) return a[1] < b[1] end)
        for oldest = 1, #live - max + 1 do redis.call('HDEL', key, live[oldest][2]) end
      end
    end
    redis.call('HSET', key, id, string.format('%.0f %.0f %.0f %s %s', nowMs + ttl, order, epoch, server, device))
    redis.call('PEXPIRE', key, ttl)
  end
end
return #KEYS - 1`);

/** KEYS: the user of each session. ARGV: server, then the session ids. */
export const REMOVE = script(`${SHARED}
for at = 1, #KEYS do
  local value = redis.call('HGET', KEYS[at], ARGV[at + 1])
  if value then
    local _, _, _, server = parts(value)
    if server == ARGV[1] then redis.call('HDEL', KEYS[at], ARGV[at + 1]) end
  end
end
return #KEYS`);

/** KEYS: epochs, then users. Answers a list for each user: session id, epoch, server, device of each live session. */
export const LOOKUP = script(`${SHARED}
local found = {}
for at = 2, #KEYS do
  local live = {}
  local all = redis.call('HGETALL', KEYS[at])
  for field = 1, #all, 2 do
    local expires, _, epoch, server, device = parts(all[field + 1])
    if expires <= nowMs or epoch < epochOf(server) then redis.call('HDEL', KEYS[at], all[field])
    else
      local n = #live
      live[n + 1], live[n + 2], live[n + 3], live[n + 4] = all[field], epoch, server, device
    end
  end
  found[at - 1] = live
end
return found`);

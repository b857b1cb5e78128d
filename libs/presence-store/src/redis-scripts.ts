import { script } from '@parley/redis-client';

/*
 * Keys of a shard: a hash of users, "workspaceId/userId" → "told lastSeenMs" and " serverId status atMs" for each server
 * with a beat; and a sorted set of users by when they are to be looked at next: when a beat may have run out, or, once
 * there is none, when the last sign of life is forgotten. Statuses are one letter: n online, a away, f offline.
 *
 * The time is the caller's. A beat does not move an entry of the sorted set back, `EXPIRE` does when it looks: in a quiet
 * state a beat costs two commands.
 */

const SHARED = `
local nowMs, ttl, forget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function read(user)
  local value = redis.call('HGET', KEYS[1], user)
  if not value then return nil end
  local told, seen, rest = string.match(value, '^(%a) (%d+)(.*)$')
  local state = {told = told, seen = tonumber(seen), beats = {}}
  for server, status, at in string.gmatch(rest, ' (%S+) (%a) (%d+)') do
    state.beats[#state.beats + 1] = {server = server, status = status, at = tonumber(at)}
  end
  return state
end
local function drop(state)
  local left = {}
  for _, beat in ipairs(state.beats) do
    if beat.at + ttl > nowMs then left[#left + 1] = beat end
  end
  state.beats = left
end
local function write(user, state)
  local words = {string.format('%s %.0f', state.told, state.seen)}
  for _, beat in ipairs(state.beats) do
    words[#words + 1] = string.format('%s %s %.0f', beat.server, beat.status, beat.at)
  end
  redis.call('HSET', KEYS[1], user, table.concat(words, ' '))
end
local function statusOf(state)
  local status = 'f'
  for _, beat in ipairs(state.beats) do
    if beat.status == 'n' then return 'n' end
    status = 'a'
  end
  return status
end
local changes = {}
local function tell(user, state)
  local status = statusOf(state)
  if status == state.told then return end
  state.told = status
  local n = #changes
  changes[n + 1], changes[n + 2], changes[n + 3] = user, status, string.format('%.0f', state.seen)
end
`;

/** KEYS: users, due. ARGV: now, ttl, forget, server, servers per user, then user and status of each beat. */
export const BEAT = script(`${SHARED}
local server, max = ARGV[4], tonumber(ARGV[5])
for at = 6, #ARGV, 2 do
  local user = ARGV[at]
  local state = read(user) or {told = 'f', seen = 0, beats = {}}
  local known = #state.beats > 0
  drop(state)
  local mine
  for _, beat in ipairs(state.beats) do
    if beat.server == server then mine = beat end
  end
  if not mine then
    if #state.beats >= max then table.remove(state.beats, 1) end
    mine = {server = server, at = 0}
    state.beats[#state.beats + 1] = mine
  end
  mine.status = ARGV[at + 1]
  mine.at = math.max(mine.at, nowMs)
  state.seen = math.max(state.seen, nowMs)
  tell(user, state)
  write(user, state)
  -- Without a beat it stood at the time of forgetting.
  if not known then redis.call('ZADD', KEYS[2], nowMs + ttl, user) end
end
return changes`);

/** KEYS: users, due. ARGV: now, ttl, forget, users at most. Answers how many it looked at, then the changes. */
export const EXPIRE = script(`${SHARED}
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', nowMs, 'LIMIT', 0, ARGV[4])
for _, user in ipairs(due) do
  local state = read(user)
  if state then
    drop(state)
    tell(user, state)
  end
  if not state or (#state.beats == 0 and state.seen + forget <= nowMs) then
    redis.call('HDEL', KEYS[1], user)
    redis.call('ZREM', KEYS[2], user)
  else
    local next = state.seen + forget
    for _, beat in ipairs(state.beats) do next = math.min(next, beat.at + ttl) end
    write(user, state)
    redis.call('ZADD', KEYS[2], next, user)
  end
end
return {#due, changes}`);

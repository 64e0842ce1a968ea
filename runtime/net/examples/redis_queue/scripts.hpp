// SPDX-License-Identifier: BSL-1.0
//
// The steps of redis_queue, which Redis runs each as a whole. KEYS: the stream of keys that wait or are processed, and
// the hash of the state of each of them: waiting, processing, or again (processing, and added since).
#pragma once

#include <string_view>

namespace examples::redis_queue_scripts {

/// key, channel
inline constexpr std::string_view add = R"(
local is = redis.call('HGET', KEYS[2], ARGV[1])
if not is then
  redis.call('HSET', KEYS[2], ARGV[1], 'waiting')
  redis.call('XADD', KEYS[1], '*', 'key', ARGV[1])
  redis.call('PUBLISH', ARGV[2], 'added')
elseif is == 'processing' then
  redis.call('HSET', KEYS[2], ARGV[1], 'again')
end
return 1)";

/// consumer, lease in ms, where to look on for keys whose lease is over. Returns that place, and unless nothing waits
/// the entry, its delivery, and the key. A key that was added again comes to its new worker with all that was added so
/// far.
inline constexpr std::string_view take = R"(
redis.pcall('XGROUP', 'CREATE', KEYS[1], 'workers', '0', 'MKSTREAM')
local found = redis.call('XAUTOCLAIM', KEYS[1], 'workers', ARGV[1], ARGV[2], ARGV[3], 'COUNT', 1)
local entry = found[2][1]
if not entry then
  local fresh = redis.call('XREADGROUP', 'GROUP', 'workers', ARGV[1], 'COUNT', 1, 'STREAMS', KEYS[1], '>')
  if not fresh then return {found[1]} end
  entry = fresh[1][2][1]
end
local key = entry[2][2]
redis.call('HSET', KEYS[2], key, 'processing')
local delivery = redis.call('XPENDING', KEYS[1], 'workers', entry[1], entry[1], 1)[1][4]
return {found[1], entry[1], delivery, key})";

/// consumer, entry, delivery, key, channel. 0: the key is another worker's by now.
inline constexpr std::string_view done = R"(
local is = redis.call('XPENDING', KEYS[1], 'workers', ARGV[2], ARGV[2], 1)[1]
if not is or is[2] ~= ARGV[1] or is[4] ~= tonumber(ARGV[3]) then return 0 end
redis.call('XACK', KEYS[1], 'workers', ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
if redis.call('HGET', KEYS[2], ARGV[4]) == 'again' then
  redis.call('HSET', KEYS[2], ARGV[4], 'waiting')
  redis.call('XADD', KEYS[1], '*', 'key', ARGV[4])
  redis.call('PUBLISH', ARGV[5], 'added')
else
  redis.call('HDEL', KEYS[2], ARGV[4])
end
return 1)";

/// consumer, entry, delivery, age in ms, channel: the lease is as if it had been given so long ago. 0: as above.
inline constexpr std::string_view age = R"(
local is = redis.call('XPENDING', KEYS[1], 'workers', ARGV[2], ARGV[2], 1)[1]
if not is or is[2] ~= ARGV[1] or is[4] ~= tonumber(ARGV[3]) then return 0 end
redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, ARGV[2], 'IDLE', ARGV[4], 'JUSTID')
if ARGV[4] ~= '0' then redis.call('PUBLISH', ARGV[5], 'given back') end
return 1)";

/// consumer: its name goes, unless it still has entries, which would go with it.
inline constexpr std::string_view farewell = R"(
local left = redis.pcall('XPENDING', KEYS[1], 'workers', '-', '+', 1, ARGV[1])
if left.err or #left ~= 0 then return 0 end
return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'workers', ARGV[1]))";

/// age in ms: so do the names of consumers without entries that have asked for nothing for so long. One that lives
/// after all has its name again when it asks.
inline constexpr std::string_view forget_the_dead = R"(
local all = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], 'workers')
if all.err then return 0 end
local gone = 0
for _, fields in ipairs(all) do
  local is = {}
  for i = 1, #fields, 2 do is[fields[i]] = fields[i + 1] end
  if is.pending == 0 and is.idle > tonumber(ARGV[1]) then
    gone = gone + 1
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'workers', is.name)
  end
end
return gone)";

inline constexpr std::string_view size = R"(
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.pcall('XGROUP', 'CREATE', KEYS[1], 'workers', '0')
return redis.call('XLEN', KEYS[1]) - redis.call('XPENDING', KEYS[1], 'workers')[1])";

}  // namespace examples::redis_queue_scripts

//! The Lua scripts, each of which the server runs atomically.
//!
//! One number, `seq`, counts all invalidations. Each group has the number of its last invalidation.
//! Each entry has the number from when its fill began: its generation. An entry is valid while no
//! group of it has a higher number, as in the memory of each instance. The cost of an invalidation
//! does not depend on the number of entries, and a fill that began before it is never stored.
//!
//! The server may lose any key: it evicts keys, and it may restart empty. So each script assumes
//! the worst of a missing key. A group without a number makes its entries invalid. A missing
//! `floor` makes all entries invalid. A missing `seq` starts again at the time of day in
//! microseconds, which is higher than any earlier number.

/// Puts the common part in front of a script. `p` is the prefix, `seq()` the current number, and
/// `floor()` the lowest generation that is valid. `is_valid(key, generation)` checks the floor and
/// the purges by prefix, which are in the same value so that the server cannot evict one alone.
macro_rules! script {
    ($body:literal) => {
        concat!(
            r"
local p = ARGV[1]
local function seq()
  local n = redis.call('GET', p .. 'seq')
  if not n then
    local t = redis.call('TIME')
    n = t[1] .. string.format('%06d', t[2])
    redis.call('SET', p .. 'seq', n)
    redis.call('SET', p .. 'floor', n)
  end
  return n
end
local lowest, purges = nil, {}
local function floor()
  if lowest then return lowest end
  local text = redis.call('GET', p .. 'floor')
  if not text then
    text = string.format('%.0f', redis.call('INCR', p .. 'seq'))
    redis.call('SET', p .. 'floor', text)
  end
  local number = nil
  for part in string.gmatch(text, '[^%z]+') do
    if not lowest then
      lowest = tonumber(part)
    elseif not number then
      number = tonumber(part)
    else
      purges[#purges + 1] = { number, part }
      number = nil
    end
  end
  return lowest
end
local function is_valid(key, generation)
  if generation < floor() then return false end
  local _, host = string.find(key, '://', 1, true)
  local path = string.find(key, '/', (host or 0) + 1, true) or #key + 1
  for _, purge in ipairs(purges) do
    local start = string.sub(purge[2], 1, 1) == '/' and path or 1
    if purge[1] > generation and string.sub(key, start, start + #purge[2] - 1) == purge[2] then return false end
  end
  return true
end
seq()
floor()
",
            $body
        )
    };
}

/// Looks a resource up. KEYS: its head. Returns the current number and the names of the valid
/// variants.
pub(crate) const LOOK_UP: &str = script!(
    r"
local key = string.sub(KEYS[1], #p + 3)
local heads = redis.call('HGETALL', KEYS[1])
local valid = {}
for i = 1, #heads, 2 do
  if heads[i] ~= '' then
    local since = nil
    local ok = true
    for part in string.gmatch(heads[i + 1], '[^%z]+') do
      if not since then
        since = tonumber(part)
        ok = is_valid(key, since)
      elseif ok then
        local last = redis.call('GET', p .. 'g:' .. part)
        ok = last and tonumber(last) <= since
      end
    end
    if ok then valid[#valid + 1] = heads[i] end
  end
end
return {seq(), valid}
"
);

/// Stores a variant. KEYS: the head and the bodies of a resource. ARGV: the variant, its
/// generation, milliseconds to live, the body, the limit of variants, the groups. Returns 1 if it
/// is stored.
pub(crate) const KEEP: &str = script!(
    r"
local generation, now, ttl = tonumber(ARGV[3]), seq(), tonumber(ARGV[4])
if generation > tonumber(now) or not is_valid(string.sub(KEYS[1], #p + 3), generation) then return 0 end
local invalidated = redis.call('HGET', KEYS[1], '')
if invalidated and tonumber(invalidated) > generation then return 0 end
local head = ARGV[3]
for i = 7, #ARGV do
  local name = p .. 'g:' .. ARGV[i]
  local last = redis.call('GET', name)
  if not last then
    last = now
    redis.call('SET', name, now, 'PX', ARGV[4])
  elseif redis.call('PTTL', name) < ttl then
    redis.call('PEXPIRE', name, ARGV[4])
  end
  if tonumber(last) > generation then return 0 end
  head = head .. '\0' .. ARGV[i]
end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) and redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then
  redis.call('DEL', KEYS[1], KEYS[2])
end
redis.call('HSET', KEYS[1], ARGV[2], head)
redis.call('HSET', KEYS[2], ARGV[2], ARGV[5])
for i = 1, 2 do
  if redis.call('PTTL', KEYS[i]) < ttl then redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
end
return 1
"
);

/// Invalidates groups, prefixes and resources. ARGV: the channel, the message, the number of
/// groups, the number of prefixes, the groups, the prefixes, the resources. Beyond 64 prefixes,
/// everything becomes invalid, so that the list stays short.
pub(crate) const INVALIDATE: &str = script!(
    r"
local n = string.format('%.0f', redis.call('INCR', p .. 'seq'))
local groups, prefixes = tonumber(ARGV[4]), tonumber(ARGV[5])
for i = 6, 5 + groups do
  redis.call('SET', p .. 'g:' .. ARGV[i], n, 'XX', 'KEEPTTL')
end
if prefixes + #purges > 64 then
  redis.call('SET', p .. 'floor', n)
else
  for i = 6 + groups, 5 + groups + prefixes do
    redis.call('APPEND', p .. 'floor', '\0' .. n .. '\0' .. ARGV[i])
  end
end
for i = 6 + groups + prefixes, #ARGV do
  redis.call('DEL', p .. 'b:' .. ARGV[i], p .. 'h:' .. ARGV[i])
  redis.call('HSET', p .. 'h:' .. ARGV[i], '', n)
  redis.call('PEXPIRE', p .. 'h:' .. ARGV[i], 600000)
end
redis.call('PUBLISH', ARGV[2], n .. '\0' .. ARGV[3])
return n
"
);

/// Invalidates everything. ARGV: the channel, the message.
pub(crate) const FLUSH: &str = script!(
    r"
local n = string.format('%.0f', redis.call('INCR', p .. 'seq'))
redis.call('SET', p .. 'floor', n)
redis.call('PUBLISH', ARGV[2], n .. '\0' .. ARGV[3])
return n
"
);

/// Notes the server's run id (ARGV). A server that has restarted may have lost the last
/// invalidations, so all earlier entries become invalid.
pub(crate) const ADOPT: &str = script!(
    r"
if redis.call('GET', p .. 'run') ~= ARGV[2] then
  local n = string.format('%.0f', redis.call('INCR', p .. 'seq'))
  redis.call('SET', p .. 'floor', n)
  redis.call('SET', p .. 'run', ARGV[2])
end
return 1
"
);

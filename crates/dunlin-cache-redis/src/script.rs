//! What happens inside the server, where it happens all at once.
//!
//! One number, `seq`, counts all invalidations. Each group has the number of its last one, and each
//! entry the number that stood when its fill began: an entry is good while none of its groups has a
//! higher one, as in the memory of each instance. So an invalidation costs the same however many
//! entries it concerns, and a fill that began before it is never kept, whoever made it.
//!
//! The server may forget anything at any time, be it to make room or because it started afresh.
//! Each script therefore takes what is missing for the worst: a group without a number makes its
//! entries no good, a missing `floor` makes all of them no good, and a missing `seq` begins anew at
//! the time of day in microseconds, which is more than any number before it.

/// Common to all: `p` is the prefix, `seq()` the number that stands, `floor()` the one that entries
/// must not be older than.
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
local function floor()
  local n = redis.call('GET', p .. 'floor')
  if not n then
    n = string.format('%.0f', redis.call('INCR', p .. 'seq'))
    redis.call('SET', p .. 'floor', n)
  end
  return n
end
seq()
floor()
",
            $body
        )
    };
}

/// KEYS: the head of a resource. Gives the number that stands, and which of its variants are good.
pub(crate) const LOOK_UP: &str = script!(
    r"
local least = tonumber(floor())
local heads = redis.call('HGETALL', KEYS[1])
local good = {}
for i = 1, #heads, 2 do
  if heads[i] ~= '' then
    local since = nil
    local ok = true
    for part in string.gmatch(heads[i + 1], '[^%z]+') do
      if not since then
        since = tonumber(part)
        ok = since >= least
      elseif ok then
        local last = redis.call('GET', p .. 'g:' .. part)
        ok = last and tonumber(last) <= since
      end
    end
    if ok then good[#good + 1] = heads[i] end
  end
end
return {seq(), good}
"
);

/// KEYS: the head and the bodies of a resource. ARGV: the variant, the number that stood,
/// milliseconds to live, the body, the most variants, the groups. Gives 1 when it is kept.
pub(crate) const KEEP: &str = script!(
    r"
local stood, now, ttl = tonumber(ARGV[3]), seq(), tonumber(ARGV[4])
if stood > tonumber(now) or stood < tonumber(floor()) then return 0 end
local gone = redis.call('HGET', KEYS[1], '')
if gone and tonumber(gone) > stood then return 0 end
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
  if tonumber(last) > stood then return 0 end
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

/// ARGV: the channel, what to tell there, how many of the groups that follow, and then the names of
/// resources.
pub(crate) const INVALIDATE: &str = script!(
    r"
local n = string.format('%.0f', redis.call('INCR', p .. 'seq'))
local groups = tonumber(ARGV[4])
for i = 5, 4 + groups do
  redis.call('SET', p .. 'g:' .. ARGV[i], n, 'XX', 'KEEPTTL')
end
for i = 5 + groups, #ARGV do
  redis.call('DEL', p .. 'b:' .. ARGV[i], p .. 'h:' .. ARGV[i])
  redis.call('HSET', p .. 'h:' .. ARGV[i], '', n)
  redis.call('PEXPIRE', p .. 'h:' .. ARGV[i], 600000)
end
redis.call('PUBLISH', ARGV[2], n .. '\0' .. ARGV[3])
return n
"
);

/// ARGV: the channel, what to tell there.
pub(crate) const FLUSH: &str = script!(
    r"
local n = string.format('%.0f', redis.call('INCR', p .. 'seq'))
redis.call('SET', p .. 'floor', n)
redis.call('PUBLISH', ARGV[2], n .. '\0' .. ARGV[3])
return n
"
);

/// ARGV: the server's run. One that started afresh may have lost the last invalidations with its
/// memory, so nothing from before counts.
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

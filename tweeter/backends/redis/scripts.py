"""The few steps that must be atomic, as scripts. Each touches one key, so they run on a cluster, too.

A timeline is a list. Its first element is a header:

    t…              a backfill token: a backfill is in progress; the ids appended since follow
    0 or -floor     the timeline is warm and complete down to the floor; ids follow in any order, some of them twice

An id that refers to a tweet is a decimal fraction, `id.0tweet`: 5629499534213120.05629499534200000. Redis sorts by
doubles. From 2**50 to 2**53 they are at least 1/4 apart, and a fraction below 0.1 is rounded off. Below 2**50 the
double is less than 1/2 above the id. So SORT puts the element in the id's place.

Redis packs integers: 800 ids take 8 KB. An id that refers to a tweet takes 36 bytes.

A script that finds any other value deletes the key and returns DAMAGED.
"""

from tweeter.backends.redis.commands import Script
from tweeter.ids import MAX_ID

DAMAGED = -1

_GUARD = """
local function damaged()
  redis.call('UNLINK', KEYS[1])
  return -1
end
local function look(...)
  local found = redis.pcall(...)
  if type(found) ~= 'table' or not found.err then return found end
  return nil, string.find(found.err, 'WRONGTYPE', 1, true) and damaged() or found
end
"""

_HEADER = f"""{_GUARD}
local header, wrong = look('LINDEX', KEYS[1], 0)
if wrong then return wrong end
"""

# ARGV: token, milliseconds to live. Idempotent: a repeated call finds its own token.
BEGIN_FILL = Script(f"""{_HEADER}
if header then
  if header == ARGV[1] then return 1 end
  if header == '0' or string.find(header, '^%-%d+$') then return 0 end
  local left = redis.call('PTTL', KEYS[1])
  if string.sub(header, 1, 1) == 't' and left >= 0 and left <= tonumber(ARGV[2]) then return 0 end
  return damaged()
end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")

# ARGV: token, milliseconds to live, header, elements…
FILL = Script(f"""{_HEADER}
if header ~= ARGV[1] then return 0 end
redis.call('LSET', KEYS[1], 0, ARGV[3])
for first = 4, #ARGV, 1000 do
  redis.call('RPUSH', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")

# ARGV: milliseconds to live. Only warm timelines are prolonged: a token must expire in time.
KEEP = Script(f"""{_HEADER}
if not header or string.sub(header, 1, 1) == 't' then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
""")

# ARGV: capacity, an id below which ids are dropped (or 0). The floor rises above the highest dropped id.
# Usually the oldest ids come first: if these are older than all others and the list has no duplicates, LTRIM suffices.
# Ids of one length are compared as strings: converting them to numbers would take longer than everything else.
# A fraction does not change the order, because no two elements have the same id.
# Only the dropped ids are validated; readers validate those that are kept.
TRIM = Script(f"""{_GUARD}
local list, wrong = look('LRANGE', KEYS[1], 0, -1)
if wrong then return wrong end
local header = list[1]
if not header or string.sub(header, 1, 1) == 't' then return 0 end
if header ~= '0' and not string.find(header, '^%-%d+$') then return damaged() end
local function tweet_of(text)
  local tweet = string.match(text, '^%d+%.0([1-9]%d*)$')
  return tweet and tonumber(tweet) <= {MAX_ID} and tweet
end
local floor, least, capacity = -tonumber(header), tonumber(ARGV[2]), tonumber(ARGV[1])
local surplus = #list - 1 - capacity
if least == 0 and surplus > 0 then
  local refers = string.find(table.concat(list), '.', 1, true)
  local length = (string.find(list[2], '.', 1, true) or #list[2] + 1) - 1
  local highest, seen, clean = '', {{}}, length > 0
  for place = 2, surplus + 1 do
    local id = list[place]
    local dot = refers and string.find(id, '.', 1, true)
    if (dot and dot - 1 or #id) ~= length then clean = false break end
    if string.find(id, '%D') and not (dot and tweet_of(id)) then clean = false break end
    if id > highest then highest = id end
  end
  for place = surplus + 2, clean and #list or 0 do
    local id = list[place]
    local dot = refers and string.find(id, '.', 1, true)
    if (dot and dot - 1 or #id) ~= length or id <= highest or seen[id] then clean = false break end
    seen[id] = true
  end
  highest = tonumber(string.sub(highest, 1, length))
  if clean and highest >= floor and highest <= {MAX_ID} then
    redis.call('LTRIM', KEYS[1], surplus, -1)
    redis.call('LSET', KEYS[1], 0, string.format('%.0f', -1 - highest))
    return capacity
  end
end
local ids, fractions, lowest = {{}}, {{}}, least
for place = 2, #list do
  local id = tonumber(list[place])
  if id and string.find(list[place], '%D') then
    local tweet = tweet_of(list[place])
    id = tweet and tonumber(string.match(list[place], '^%d+'))
    if id then fractions[id] = '.0' .. tweet end
  end
  if not id or id < 1 or id > {MAX_ID} then return damaged() end
  ids[place - 1] = id
  if id < lowest then lowest = id end
end
if #ids <= capacity and lowest == least then return #ids end
table.sort(ids)
local kept, thrown = {{}}, 0
for place = #ids, 1, -1 do
  local id = ids[place]
  if id < floor then break end
  if id ~= ids[place + 1] then
    if id < least or #kept == capacity then
      thrown = id < least and math.max(id + 1, least) or id + 1
      break
    end
    kept[#kept + 1] = string.format('%.0f', id) .. (fractions[id] or '')
  end
end
local left = redis.call('PTTL', KEYS[1])
redis.call('UNLINK', KEYS[1])
redis.call('RPUSH', KEYS[1], string.format('%.0f', 0 - math.max(floor, thrown)))
for first = #kept, 1, -1000 do
  local part = {{}}
  for place = first, math.max(first - 999, 1), -1 do part[#part + 1] = kept[place] end
  redis.call('RPUSH', KEYS[1], unpack(part))
end
if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
return #kept
""")

# ARGV: guard, value, milliseconds to live. A value that is no string is left to the next reader.
FILL_TWEET = Script("""
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
""")

/**
 * Put in front of scripts for ioredis-mock, whose interpreter (fengari: Lua 5.3, integers of 32 bits) has no
 * `redis.sha1hex`, as every Redis has, and gives lists inside of replies as objects of JavaScript, which count from 0.
 */
export const mockPrelude = `if not redis.sha1hex then
  local function plain(value)
    if type(value) ~= 'userdata' then return value end
    local list = {}
    for i = 0, #value - 1 do list[i + 1] = plain(value[i]) end
    return list
  end
  for _, name in ipairs({ 'call', 'pcall' }) do
    local ask = redis[name]
    redis[name] = function(...)
      local reply = ask(...)
      if type(reply) ~= 'userdata' then return reply end
      local list = {}
      for i = 1, #reply do list[i] = plain(reply[i]) end
      return list
    end
  end
  redis.sha1hex = function(text)
    local function turn(n, by) return (n << by) | (n >> (32 - by)) end
    local h = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}
    local bytes = #text
    local padded = text .. string.char(0x80) .. string.rep(string.char(0), (55 - bytes) % 64)
    local bits = bytes * 8
    padded = padded .. string.rep(string.char(0), 4)
      .. string.char((bits >> 24) & 255, (bits >> 16) & 255, (bits >> 8) & 255, bits & 255)
    for at = 1, #padded, 64 do
      local w = {}
      for i = 0, 15 do
        local a, b, c, d = padded:byte(at + 4 * i, at + 4 * i + 3)
        w[i] = (a << 24) | (b << 16) | (c << 8) | d
      end
      for i = 16, 79 do w[i] = turn(w[i - 3] ~ w[i - 8] ~ w[i - 14] ~ w[i - 16], 1) end
      local a, b, c, d, e = h[1], h[2], h[3], h[4], h[5]
      for i = 0, 79 do
        local f, k
        if i < 20 then f, k = (b & c) | ((~b) & d), 0x5a827999
        elseif i < 40 then f, k = b ~ c ~ d, 0x6ed9eba1
        elseif i < 60 then f, k = (b & c) | (b & d) | (c & d), 0x8f1bbcdc
        else f, k = b ~ c ~ d, 0xca62c1d6 end
        a, b, c, d, e = turn(a, 5) + f + e + k + w[i], a, turn(b, 30), c, d
      end
      h[1], h[2], h[3], h[4], h[5] = h[1] + a, h[2] + b, h[3] + c, h[4] + d, h[5] + e
    end
    local hex = ''
    for i = 1, 5 do
      for by = 28, 0, -4 do
        local digit = ((h[i] >> by) & 15) + 1
        hex = hex .. ('0123456789abcdef'):sub(digit, digit)
      end
    end
    return hex
  end
end
`

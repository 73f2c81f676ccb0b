-- Sends requests in bursts of 16 and waits for all 16 replies. wrk then measures the latency of a whole burst.
local depth = 16
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(here .. "report.lua")

local burst

function init(args)
   local requests = {}
   for i = 1, depth do
      requests[i] = wrk.format()
   end
   burst = table.concat(requests)
end

function request()
   return burst
end

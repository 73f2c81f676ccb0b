-- Asks for a new connection with each request: the server ends a connection after its reply, and wrk opens another one.
-- wrk's latency counts from the sending of the request, after the handshake.
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(here .. "report.lua")

wrk.headers["Connection"] = "close"

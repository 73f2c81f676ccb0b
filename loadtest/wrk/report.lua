-- Prints what wrk measured as one line of JSON, after "REPORT ". Times are in microseconds. There is no response()
-- function, so that wrk runs no Lua for each reply.
function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      'REPORT {"requests": %d, "bytes": %d, "duration_us": %d, ' ..
      '"errors": {"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}, ' ..
      '"latency_us": {"p50": %d, "p90": %d, "p99": %d, "max": %d}}\n',
      summary.requests, summary.bytes, summary.duration,
      e.connect, e.read, e.write, e.timeout, e.status,
      latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end

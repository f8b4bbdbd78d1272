-- Send one request over and over, and print what wrk measured as JSON.
-- Arguments: the method, and the file that holds the body, or "-".

function init(args)
  wrk.method = args[1]
  wrk.headers["Accept"] = "*/*"
  if args[2] ~= "-" then
    wrk.headers["Content-Type"] = "application/json"
    local file = assert(io.open(args[2], "rb"))
    wrk.body = file:read("*a")
    file:close()
  end
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "p50": %f, "p90": %f, "p99": %f, "errors": %d}\n',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99),
    failed.connect + failed.read + failed.write + failed.status + failed.timeout
  ))
end

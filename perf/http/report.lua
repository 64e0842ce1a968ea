-- SPDX-License-Identifier: BSL-1.0
-- wrk's figures as a line of JSON.
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"requests": %d, "failed": %d, "rate_k": %.6g, "p50_us": %.6g, "p99_us": %.6g, "p999_us": %.6g}\n',
    summary.requests, failed, summary.requests / summary.duration * 1e3,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end

-- What wrk sends and counts. The environment says what: BENCH_REQUEST (create, get, complete or live), BENCH_TOKENS (a
-- file of link tokens, one a line), BENCH_RESULT (the file for the figures) and API_KEY.

local kind = os.getenv("BENCH_REQUEST")
local per_second = os.getenv("BENCH_PER_SECOND")
local expected = kind == "create" and 201 or 200

-- wrk can hand numbers and strings of a thread to done(), globals only.
succeeded, refused, other, other_status, tokens_ran_out, seconds = 0, 0, 0, 0, 0, ""

if kind == "create" then
    dofile("benchmarks/peers/create.lua")
elseif kind ~= "live" then
    local file = assert(io.open(os.getenv("BENCH_TOKENS")))
    local tokens = file:read("*a")
    file:close()
    local length, line = 54, 55
    local count, used = #tokens / line, 0
    local method, path, tail = "GET", os.getenv("BENCH_PATH") .. "/", ""
    local headers = " HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: " .. os.getenv("API_KEY") .. "\r\n"
    if kind == "complete" then
        method, tail, headers = "POST", "/complete", headers .. "Content-Length: 0\r\n"
    end
    local before, after = method .. " " .. path, tail .. headers .. "\r\n"

    function request()
        if used == count then
            used = 0
            tokens_ran_out = kind == "complete" and 1 or 0 -- a session can be read again, but completed once
        end
        local start = used * line + 1
        used = used + 1
        return before .. tokens:sub(start, start + length - 1) .. after
    end
end

local now, succeeded_then, refused_then = 0, 0, 0

function response(status)
    if per_second then
        local second = os.time()
        if second ~= now then
            if now > 0 then
                seconds = seconds .. string.format("%d %d %d\n", now, succeeded - succeeded_then, refused - refused_then)
            end
            now, succeeded_then, refused_then = second, succeeded, refused
        end
    end
    if status == expected then
        succeeded = succeeded + 1
    elseif status == 503 then
        refused = refused + 1
    else
        other = other + 1
        other_status = status
    end
end

local thread

function setup(started)
    thread = started -- always one: wrk -t1
end

function done(summary, latency)
    local result = assert(io.open(os.getenv("BENCH_RESULT"), "w"))
    result:write(string.format(
        [[{"succeeded": %d, "refused": %d, "other": %d, "other_status": %d, "tokens_ran_out": %d,
"microseconds": %d, "p50_us": %d, "p99_us": %d, "max_us": %d,
"connect_errors": %d, "read_errors": %d, "write_errors": %d, "timeouts": %d, "seconds": %q}]],
        thread:get("succeeded"), thread:get("refused"), thread:get("other"), thread:get("other_status"),
        thread:get("tokens_ran_out"), summary.duration,
        latency:percentile(50), latency:percentile(99), latency.max,
        summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.timeout,
        (thread:get("seconds"):gsub("\n", ";"))))
    result:close()
end

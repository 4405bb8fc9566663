#!/usr/bin/env bash
# 256 open files and 1 000 callers that stay: with the default limit of
# connections the others are told so; with none to speak of the descriptors run
# out. Either way the processor is left alone, and when the crowd goes, calls are
# answered within 5 s. SECONDS_OF_LOAD=60 for a long crowd.
# needs: curl python3
source "$(dirname "$0")/common.bash"
duration=${SECONDS_OF_LOAD:-5}
start_sandbox --quiet
for most in 0 100000; do
    ulimit -Sn 256
    start_proxy DQE_PROXY_LISTENER_MAX_CONNECTIONS=$most
    ulimit -Sn "$(ulimit -Hn)"
    target="$proxy/TEL/?Tel=0612345678&Pays=FRA"
    curl -sS -o /dev/null --retry 20 --retry-delay 1 --retry-all-errors -f "$target" || fail "never ready"
    python3 "$(dirname "$0")/pressure/crowd.py" "${proxy#http://}" 1000 "$duration" "$proxy_pid" >"$work/crowd.log" || fail "$(cat "$work/crowd.log")"
    ended=$(date +%s%N)
    until curl -s -o /dev/null -f --max-time 1 "$target"; do
        [ $(($(date +%s%N) - ended)) -lt 5000000000 ] || fail "not serving 5 s after the crowd"
        sleep 0.05
    done
    again=$((($(date +%s%N) - ended) / 1000000))
    complaints=$(grep -cE '"level":"(WARN|ERROR)"' "$work/proxy.log" || true)
    [ "$complaints" -le $((20 + 4 * duration)) ] || fail "$complaints lines in the log"
    echo "max_connections = $most: $(cat "$work/crowd.log"), serving again after $again ms, $complaints complaints in the log"
    kill "$proxy_pid"
    wait "$proxy_pid" || fail "the proxy exited with $?"
done

#!/usr/bin/env bash
# slowhttptest in its four modes with 500 connections: other callers wait at most
# twice as long as in quiet. ROUNDS=20 for more of each; P99=judged on a machine
# that does nothing else.
# needs: curl python3 slowhttptest
source "$(dirname "$0")/common.bash"
ulimit -Sn "$(ulimit -Hn)"
rounds=${ROUNDS:-3}
attack() { # TARGET MODE …
    curl -sS -o /dev/null --retry 20 --retry-delay 1 --retry-all-errors -f "$proxy$1" || fail "never ready"
    python3 "$(dirname "$0")/pressure/slow_callers.py" "$proxy" "$admin" "$1" "$rounds" "${@:2}" || fail "other callers wait too long"
}

start_sandbox --quiet
start_proxy DQE_PROXY_LOG_ACCESS=false DQE_PROXY_LISTENER_MAX_CONNECTIONS=1000
attack '/TEL/?Tel=0612345678&Pays=FRA' -H -B -R

# Who reads slowly is a burden only when there is much to read.
python3 "$(dirname "$0")/pressure/origin.py" >"$work/origin.log" 2>&1 &
pids+=($!)
origin=$(wait_for "$work/origin.log" '127.0.0.1:[0-9]+')
start_proxy DQE_SERVER="http://$origin" DQE_PROXY_TOKEN_SERVER="$dqe" \
    DQE_PROXY_LOG_ACCESS=false DQE_PROXY_LISTENER_MAX_CONNECTIONS=1000
attack '/TEL/?size=300000' -X

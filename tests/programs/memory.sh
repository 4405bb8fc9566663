#!/usr/bin/env bash
# Memory: 5 000 idle connections take at most 8 KiB each, and 100 MiB up and
# 100 MiB down past sides that stand still take less than 4 MiB besides; a limit
# of the memory is kept.
# needs: curl python3
source "$(dirname "$0")/common.bash"
ulimit -Sn "$(ulimit -Hn)"
[ "$(ulimit -Sn)" = unlimited ] || [ "$(ulimit -Sn)" -ge 6000 ] || fail "5 000 connections want ulimit -n 6000 or more"
start_sandbox --quiet
python3 "$(dirname "$0")/pressure/origin.py" >"$work/origin.log" 2>&1 &
pids+=($!)
origin=$(wait_for "$work/origin.log" '127.0.0.1:[0-9]+')
start_proxy DQE_SERVER="http://$origin" DQE_PROXY_TOKEN_SERVER="$dqe" DQE_PROXY_LOG_ACCESS=false \
    DQE_PROXY_LISTENER_MAX_CONNECTIONS=5500 DQE_PROXY_LISTENER_MAX_BODY=0 DQE_PROXY_LISTENER_IDLE_TIMEOUT=5m
curl -sS -o /dev/null --retry 20 --retry-delay 1 --retry-all-errors -f "$proxy/TEL/?size=2" || fail "never ready"
python3 "$(dirname "$0")/pressure/memory.py" "${proxy#http://}" "$proxy_pid" >"$work/memory.log" 2>&1 || fail "memory"
cat "$work/memory.log"

start_proxy DQE_SERVER="http://$origin" DQE_PROXY_TOKEN_SERVER="$dqe" DQE_PROXY_LOG_ACCESS=false \
    DQE_PROXY_LISTENER_MAX_CONNECTIONS=5500 DQE_PROXY_LISTENER_MAX_MEMORY=32MiB
curl -sS -o /dev/null --retry 20 --retry-delay 1 --retry-all-errors -f "$proxy/TEL/?size=2" || fail "never ready"
python3 "$(dirname "$0")/pressure/memory_limit.py" "${proxy#http://}" "$proxy_pid" >"$work/limit.log" 2>&1 || fail "the limit of the memory"
cat "$work/limit.log"

#!/usr/bin/env bash
# 64 connections of steady load on tokens that live 2 s: every answer a 2xx.
# SECONDS_OF_LOAD=60 for the long run.
# needs: curl wrk
source "$(dirname "$0")/common.bash"
duration=${SECONDS_OF_LOAD:-15}
start_sandbox --token-life 2s --quiet
start_proxy DQE_PROXY_LOG_ACCESS=false
curl -sS -o /dev/null --retry 20 --retry-delay 1 --retry-all-errors -f "$proxy/TEL/?Tel=0612345678" || fail "never ready"

before=$(counter issued.client_phone)
begun=$(date +%s%N)
wrk -t1 -c64 -d"${duration}s" "$proxy/TEL/?Tel=0612345678&Pays=FRA" >"$work/wrk.log"
after=$(counter issued.client_phone)
# A busy machine takes longer than wrk was told to, and tokens go by the clock.
lives=$((($(date +%s%N) - begun) / 2000000000))
grep -qE 'Non-2xx|Socket errors' "$work/wrk.log" && fail "$(cat "$work/wrk.log")"
[ "$(counter violations)" = 0 ] || fail "violations: $(curl -sS "$control/counters")"
calls=$((after - before))
[ $((calls * 2)) -le $((lives * 5)) ] || fail "$calls token calls in $lives lives"
echo "$(awk '/requests in/ {print $1}' "$work/wrk.log") requests in $duration s, all 2xx, 0 violations, $calls token calls in $lives lives"

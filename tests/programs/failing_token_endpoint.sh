#!/usr/bin/env bash
# Three token calls in ten fail (500, reset, silence, a page, nothing), tokens
# live 2 s, calls go on: no caller notices. With a server that issues new
# tokens, one that repeats a token until its end, one that revokes the previous.
# SECONDS_OF_LOAD=600 for the long run of each.
# needs: curl wrk
source "$(dirname "$0")/common.bash"
duration=${SECONDS_OF_LOAD:-10}
failing='token:any-of=status=500|reset|hang|html-200|empty-200,probability=0.3'
for personality in token-reuse=off token-reuse=on one-token=on; do
    start_sandbox --token-life 2s --quiet --switch "$personality" --fault "$failing"
    start_proxy DQE_PROXY_LOG_ACCESS=false
    curl -s -o /dev/null --retry 20 --retry-delay 1 --retry-all-errors -f "$proxy/TEL/?Tel=0612345678" || fail "never ready"
    before=$(counter issued.client_phone)
    wrk -t1 -c8 -d"${duration}s" "$proxy/TEL/?Tel=0612345678&Pays=FRA" >"$work/wrk.log"
    grep -qE 'Non-2xx|Socket errors' "$work/wrk.log" && fail "$personality: $(cat "$work/wrk.log") $(curl -sS "$admin/status.json")"
    renewals=$(($(counter issued.client_phone) - before))
    [ "$renewals" -ge $((duration / 3)) ] || fail "$personality: $renewals renewals"
    echo "$personality: $(awk '/requests in/ {print $1}' "$work/wrk.log") requests in $duration s, all 2xx, $renewals tokens, expired tokens sent: $(counter carried.expired)"
    kill "$proxy_pid" "$sandbox_pid"
    wait "$proxy_pid" "$sandbox_pid" 2>/dev/null || true
    pids=()
done

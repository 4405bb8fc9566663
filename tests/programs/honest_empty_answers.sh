#!/usr/bin/env bash
# A load of calls of which every other one finds nothing and is answered `{}`, as
# with a dead token on these paths; tokens live 4 s and their renewals take a
# while. Of a thousand calls one is replayed at most, or one for each caller and renewal.
# SECONDS_OF_LOAD=60 for the long run.
# needs: curl wrk
source "$(dirname "$0")/common.bash"
duration=${SECONDS_OF_LOAD:-10}
start_sandbox --token-life 4s --quiet --switch token-latency=80ms
start_proxy DQE_PROXY_LOG_ACCESS=false
nothing='/SINGLEV2/?Adresse=zzzzzz&Pays=FRA'
curl -sS -o /dev/null --retry 20 --retry-delay 1 --retry-all-errors -f "$proxy$nothing" || fail "never ready"
[ "$(curl -sS "$proxy$nothing")" = '{}' ] || fail "not empty"
cat >"$work/mix.lua" <<END
local sent = 0
function request()
    sent = sent + 1
    return wrk.format("GET", sent % 2 == 0 and "/SINGLEV2/?Adresse=5&Pays=FRA" or "$nothing")
end
END

sum() { # NAME: over all routes
    curl -sS "$admin/metrics" | awk -v name="$1" 'index($1, name) == 1 { total += $2 } END { print total + 0 }'
}
callers=16
before=$(counter issued.client_address)
# As often as it takes for the calls to tell something, on a machine that is busy.
calls=0 rounds=0
while [ "$calls" -lt $((duration * 1000)) ]; do
    rounds=$((rounds + 1))
    [ "$rounds" -le 10 ] || fail "$calls calls"
    wrk -t1 -c"$callers" -d"${duration}s" -s "$work/mix.lua" "$proxy" >"$work/wrk.log"
    grep -qE 'Non-2xx|Socket errors' "$work/wrk.log" && fail "$(cat "$work/wrk.log")"
    calls=$(counter family.address)
done
replays=$(sum dqe_proxy_replays_total)
forced=$(sum 'dqe_proxy_token_forced_renewals_total{scope="client_address"}')
renewals=$(($(counter issued.client_address) - before))
[ "$renewals" -ge $((duration / 4)) ] || fail "$renewals renewals"
# An empty answer that comes while a renewal is due is replayed: one for each caller. Of the
# few calls that a busy machine makes that is more than one in a thousand.
[ $((replays * 1000)) -le "$calls" ] || [ "$replays" -le $((renewals * callers)) ] ||
    fail "$replays false replays of $calls calls, $renewals renewals"
[ "$(counter violations)" = 0 ] || fail "violations"
echo "$calls calls in $((rounds * duration)) s, half of them honestly empty, $renewals renewals ($forced forced): $replays false replays, $(awk "BEGIN { printf \"%.4f\", 100 * $replays / $calls }") %"

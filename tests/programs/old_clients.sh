#!/usr/bin/env bash
# Programs as old as the applications we serve.
# needs: curl wget ab
source "$(dirname "$0")/common.bash"
start_sandbox --quiet
start_proxy
target="$proxy/TEL/?Tel=0612345678&Pays=FRA"
curl -sS --http1.0 "$target" | grep -q MOBILE || fail "curl --http1.0"
wget -qO- "$target" | grep -q MOBILE || fail "wget"
ab -q -n 500 -c 10 "$target" >"$work/ab.log" 2>&1 || fail "ab"
ab -q -k -n 500 -c 10 "$target" >>"$work/ab.log" 2>&1 || fail "ab -k"
grep -q 'Non-2xx' "$work/ab.log" && fail "ab: $(cat "$work/ab.log")"
[ "$(grep -c 'Failed requests: *0' "$work/ab.log")" = 2 ] || fail "ab: $(cat "$work/ab.log")"
[ "$(counter violations)" = 0 ] || fail "violations"
echo "curl --http1.0, wget, ab with and without keep-alive"

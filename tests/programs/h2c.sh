#!/usr/bin/env bash
# Programs that speak HTTP/2 without TLS, known beforehand: curl, nghttp, and
# h2load with 100 streams on each connection while tokens are renewed.
# needs: curl nghttp h2load
source "$(dirname "$0")/common.bash"
start_sandbox --token-life 2s --quiet
start_proxy DQE_PROXY_LISTENER_H2C=true
call="$proxy/TEL/?Tel=0612345678&Pays=FRA"
curl -sS -o /dev/null -f --retry 20 --retry-delay 1 --retry-all-errors "$call" || fail "never ready"

# alike FILE: without what differs from answer to answer.
alike() {
    sed -E 's/"request_id":"[^"]*"//; /^(HTTP\/|date:|x-request-id:)/Id' "$1"
}

# same NAME CURL-ARGUMENT…: curl is answered over HTTP/2 as over HTTP/1.1.
same() {
    local name=$1 version
    shift
    curl -sS -o "$work/old.body" -w '%{http_code} %{content_type}' "$@" >"$work/old.log" || fail "$name over HTTP/1.1"
    version=$(curl -sS --http2-prior-knowledge -o "$work/new.body" \
        -w '%{stderr}%{http_code} %{content_type}%{stdout}%{http_version}' "$@" 2>"$work/new.log") || fail "$name"
    [ "$version" = 2 ] || fail "$name: HTTP/$version"
    diff "$work/old.log" "$work/new.log" >/dev/null || fail "$name: $(cat "$work/new.log")"
    diff <(alike "$work/old.body") <(alike "$work/new.body") >/dev/null || fail "$name: the body"
}

same GET "$call"
same HEAD -I "$call"
same 'a form' -d 'Tel=%2B33 6 12 34 56 78' "$proxy/TEL/"
same JSON -H 'Content-Type: application/json' -d '{"email":"hélène@gmail.com"}' "$proxy/v1/email/lookup"
same 'a refusal' "$proxy/nowhere"
head -c 1048576 /dev/zero | tr '\0' a >"$work/large"
same '1 MiB' -H 'Content-Type: application/octet-stream' --data-binary "@$work/large" "$proxy/TEL/?Tel=0612345678"
same '1 MiB of unknown length' -H 'Content-Type: application/octet-stream' -T - -X POST "$proxy/TEL/?Tel=0612345678" <"$work/large"
echo "curl over HTTP/2 is answered as over HTTP/1.1"

nghttp --no-dep --stat "$call" "$call&a" "$call&b" >"$work/nghttp.log" 2>&1 || fail nghttp
[ "$(grep -c ' 200 .* /TEL/' "$work/nghttp.log")" = 3 ] || fail nghttp
echo "nghttp: 3 calls on one connection"

before=$(counter issued.client_phone)
calls=0
while [ $(($(counter issued.client_phone) - before)) -lt 2 ]; do
    h2load -n 4000 -c 4 -m 100 "$call" >"$work/h2load.log" 2>&1 || fail h2load
    grep -q '4000 succeeded, 0 failed, 0 errored, 0 timeout' "$work/h2load.log" || fail h2load
    grep -q 'status codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx' "$work/h2load.log" || fail h2load
    calls=$((calls + 4000))
done
[ "$(counter violations)" = 0 ] || fail "violations"
grep -q '"http_version":"2"' "$work/access.log" || fail "the access log has no HTTP/2"
kill -TERM "$proxy_pid"
wait "$proxy_pid" || fail "the drain"
echo "h2load: $calls calls, 100 streams on each of 4 connections, all 2xx, $(($(counter issued.client_phone) - before)) renewals meanwhile"

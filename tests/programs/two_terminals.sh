#!/usr/bin/env bash
# `sandbox` in one terminal, `run` with only environment variables in another,
# then curl without a credential.
# needs: curl
source "$(dirname "$0")/common.bash"
start_sandbox
start_proxy

expect() { # METHOD TARGET WORD [BODY]
    local answer
    if [ -n "${4:-}" ]; then
        answer=$(curl -sS -X "$1" -H 'Content-Type: application/json' -d "$4" -w '\n%{http_code}' "$proxy$2")
    else
        answer=$(curl -sS -X "$1" -w '\n%{http_code}' "$proxy$2")
    fi
    [ "${answer##*$'\n'}" = 200 ] || fail "$2: $answer"
    grep -q -- "$3" <<<"$answer" || fail "$2 does not say $3: $answer"
}

expect GET '/SINGLEV2/?Adresse=5%20rue%20des%20pyr&Pays=FRA' 'RUE DES PYRENEES'
expect GET '/RNVP/?Adresse=%7C5%20rue%20des%20pyrenees%7C%7C75020%7CPARIS&Pays=FRA&Licence=OURS' 75020
expect GET '/TEL/?Tel=0612345678&Pays=FRA&Format=0' MOBILE
expect GET '/DQEEMAILLOOKUP/?Email=jean.dupont%2540gmail.com' 'IdError'
expect GET '/FIRSTNAMESUGGEST/?Firstname=ali' ALI
expect GET '/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y' BOULANGERIE
expect POST '/v1/email/lookup' IdError '{"email":"jean.dupont@gmail.com"}'
expect POST '/v1/phone/lookup' MOBILE '{"phone":"0612345678","country":"FRA"}'

journal=$(curl -sS "$control/journal?after=0")
grep -q 'Licence=OURS' <<<"$journal" && fail "the caller's licence reached DQE"
grep -q 'Email=jean.dupont%2540gmail.com' <<<"$journal" || fail "the query was changed"
[ "$(counter violations)" = 0 ] || fail "violations: $(curl -sS "$control/counters")"

for path in /oauth/access_token/ /OAUTH/access_token/ /v1/../oauth/access_token/ //oauth/access_token/ /%6fauth/access_token/; do
    status=$(curl -sS --path-as-is -o /dev/null -w '%{http_code}' "$proxy$path?client_id=SANDBOX&client_secret=sandbox-secret&scope=client_phone")
    case $status in 400 | 404) ;; *) fail "$path answered $status" ;; esac
done

[ "$(curl -sS -o /dev/null -w '%{http_code}' "$admin/readyz")" = 200 ] || fail "not ready"
"$binary" healthcheck --ready --address "${admin#http://}" || fail "healthcheck"
env DQE_SERVER="$dqe" DQE_LICENCE=SANDBOX DQE_CLIENT_SECRET=sandbox-secret "$binary" token >"$work/token.log" || fail "token"
grep -q sandbox-secret "$work"/token.log "$work"/proxy.log "$work"/access.log && fail "the secret is in an output"
grep -q 0612345678 "$work"/proxy.log "$work"/access.log && fail "a query value is in a log"

kill -HUP "$proxy_pid"
wait_for "$work/proxy.log" 'secret and CA files read again' >/dev/null
kill -TERM "$proxy_pid"
wait "$proxy_pid" || fail "the drained proxy exited with $?"
pids=("$sandbox_pid")
echo "eight families by curl, the token endpoint by none, SIGHUP and SIGTERM"

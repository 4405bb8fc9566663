#!/usr/bin/env bash
# Programs as old as the applications we serve: curl as HTTP/1.0, wget, and
# ApacheBench, which speaks HTTP/1.0 with and without keep-alive.
# needs: curl wget ab /usr/bin/python3
source "$(dirname "$0")/clients.bash"
check_client 10 bash "$clients/cron.sh" <<'END'
GET /RNVP/?Adresse=%7c10+rue+de+la+r%C3%A9publique||01500|Amb%C3%A9rieu-en-Bugey&Pays=FRA&Licence={token}
POST /TEL/ Licence={token}&Tel=%2B33 6 12 34 56 78
GET /SINGLEV2/?Adresse=10%20rue%20de%20la%20r%C3%A9publique&Pays=FRA&Licence={token}
POST /DQEEMAILLOOKUP/ Email=jean.dupont%2540gmail.com&Licence={token}
POST /v1/phone/lookup {"phone":"0612345678","country":"FRA"}
POST /v1/email/lookup {"email":"hélène@gmail.com"}
HEAD /TEL/?Tel=0612345678&Licence={token}
GET /TEL/?Tel=0612345678&Pays=FRA&Licence={token}
END

ab_says() {
    sed -n "s/^$1: *//p" "$work/ab.log"
}

before=$(counter issued.client_phone)
target="$proxy/TEL/?Tel=0612345678&Pays=FRA"
for keep_alive in '' -k; do
    # shellcheck disable=SC2086
    ab -q $keep_alive -t 2 -n 1000000 -c 10 "$target" >"$work/ab.log" 2>&1 || fail "ab $keep_alive"
    grep -q 'Non-2xx' "$work/ab.log" && fail "ab $keep_alive"
    grep -q 'Failed requests: *0$' "$work/ab.log" || fail "ab $keep_alive"
done
[ "$(ab_says 'Keep-Alive requests')" = "$(ab_says 'Complete requests')" ] || fail "ab -k opened connections anew"
[ "$(counter violations)" = 0 ] || fail "violations"
renewals=$(($(counter issued.client_phone) - before))
[ "$renewals" -ge 2 ] || fail "$renewals renewals"
echo "ab without and with keep-alive, $(ab_says 'Complete requests') calls with it, $renewals renewals meanwhile"

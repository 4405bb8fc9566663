#!/usr/bin/env bash
# An address typed into a page with jQuery, in a browser: JSONP at each letter.
# Pages of the same site may call; those of another one when they are listed.
# And a page that uses fetch, which only listed ones may.
# needs: curl chromium /usr/share/javascript/jquery/jquery.min.js /usr/bin/python3
source "$(dirname "$0")/clients.bash"
# Letters are counted, not bytes.
export LC_ALL=C.UTF-8
typed='10 rue de la répub'

mkdir "$work/site"
cp /usr/share/javascript/jquery/jquery.min.js "$clients"/*.html "$work/site"
"$python" -u -m http.server --bind 127.0.0.1 --directory "$work/site" 0 >>"$work/site.log" 2>&1 &
pids+=($!)
site=$(wait_for "$work/site.log" 'port [0-9]+' | cut -d' ' -f2)

pace=100

# visit PAGE HOST PROXY: opens the page on HOST and prints what it told its server.
visit() {
    local address seen browser
    : >"$work/site.log"
    rm -rf "$work/profile"
    address="http://$2:$site/$1.html?proxy=$3&typed=$(encoded "$typed")&pace=$pace"
    timeout -k 5 30 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync \
        --user-data-dir="$work/profile" "$address" >"$work/chromium.log" 2>&1 &
    browser=$!
    seen=$(wait_for "$work/site.log" '/seen\?[^ ]+')
    kill "$browser"
    wait "$browser" 2>/dev/null || true
    "$python" -c 'import sys, urllib.parse; print(urllib.parse.unquote(sys.argv[1]))' "${seen#*\?}"
}

encoded() {
    "$python" -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]))' "$1"
}

check() { # STORY PAGE HOST PROXY EXPECTED
    local seen
    seen=$(visit "$2" "$3" "$4")
    # shellcheck disable=SC2053
    [[ $seen == $5 ]] || fail "$1: $seen"
    echo "$1: $seen"
}

all=${#typed}
right='"refused":0,"executed":0,"suggestions":"10 RUE DE LA REPUBLIQUE|01500 AMBERIEU EN BUGEY"}'
refused="{\"answered\":0,\"late\":0,\"refused\":$all,\"executed\":0,\"suggestions\":\"\"}"

# The first answers come last, and a renewal falls between them.
curl -sS -o /dev/null -d 'path=/SINGLEV2/:slow=500ms,times=3' "$control/faults"
check "page of the same site" autocompletion 127.0.0.1 "$proxy" "{\"answered\":$all,\"late\":[1-9]*,$right"
"$python" "$(dirname "$0")/received.py" "$control" /SINGLEV2/ >"$work/received.log" || fail "what DQE received"
for ((letters = 1; letters <= all; letters++)); do
    text=$(encoded "${typed:0:letters}")
    echo "GET /SINGLEV2/?callback={callback}&Adresse=$text&Pays=FRA&Licence={token}&_={time}"
done | sort >"$work/expected.log"
sed -E 's/jQuery[0-9_]+/{callback}/; s/_=[0-9]+$/_={time}/' "$work/received.log" | sort |
    diff "$work/expected.log" - || fail "what DQE received"

pace=20
check "page of another site" autocompletion localhost "$proxy" "$refused"
curl -sS "$admin/metrics" | grep -q "outcome=\"cross_site_refused\"} $all$" || fail "the page was refused for another reason"
check "proxy without a token" autocompletion 127.0.0.1 "$down" "$refused"
[ "$(counter family.address)" = "$all" ] || fail "a refused call reached DQE"

check "fetch of a page that is not listed" fetch 127.0.0.1 "$proxy" "TypeError, TypeError, TypeError, TypeError, TypeError, TypeError"
[ "$(counter family.phone)" = 0 ] || fail "a refused call reached DQE"

start_proxy DQE_PROXY_CORS_ORIGINS="http://localhost:$site" DQE_PROXY_RELAY_PATHS=/dqe.php,/dqe.asmx/Call
check "page of another site that is listed" autocompletion localhost "$proxy" "{\"answered\":$all,\"late\":*,$right"
check "fetch of a page that is listed" fetch localhost "$proxy" \
    "200 10 RUE DE LA REPUBLIQUE|01500 AMBERIEU EN BUGEY, 200 MOBILE, 200 MOBILE, 200 DES PYRENEES, 200 DES PYRENEES, 404 route_not_found"
[ "$(counter violations)" = 0 ] || fail "violations"

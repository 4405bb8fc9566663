# For the scripts of client programs: the fake DQE with tokens of 2 s and, in
# front of it, the proxy ($proxy) and one that has no token ($down).
# Sourced by the scripts beside it.
source "$(dirname "$0")/common.bash"
clients=$(dirname "$0")/clients
# Debian's own: the one that python3-requests is for.
python=/usr/bin/python3

start_sandbox --token-life 2s --quiet
start_proxy DQE_CLIENT_SECRET=wrong
down=$proxy
start_proxy
curl -sS -o /dev/null -f --retry 20 --retry-delay 1 --retry-all-errors "$admin/readyz" || fail "never ready"

# check_client CONNECTIONS COMMAND…: runs a program with $proxy and $down as its
# last arguments. It judges its answers itself, makes calls for more than a
# token's life, opens CONNECTIONS to $proxy at most, and what DQE received of it
# is what standard input says (see received.py).
check_client() {
    local most=$1 opened received
    shift
    curl -sS -X DELETE -o /dev/null "$control/journal"
    opened=$(connections_opened)
    timeout 60 "$@" "$proxy" "$down" >"$work/client.log" 2>&1 || fail "$*"
    opened=$(($(connections_opened) - opened))
    [ "$opened" -le "$most" ] || fail "$* opened $opened connections"
    received=$("$python" "$(dirname "$0")/received.py" "$control" 2>"$work/received.log") || fail "what DQE received of $*"
    diff - <(echo "$received") >"$work/received.log" || fail "what DQE received of $*"
    echo "$(tail -n 1 "$work/client.log"), $opened connections, $(counter issued.client_phone) tokens of the phone scope so far"
}

connections_opened() {
    curl -sS "$admin/metrics" | sed -n 's/^dqe_proxy_caller_connections_opened_total //p'
}

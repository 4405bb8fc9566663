# Starts the fake DQE and the proxy, each a process of its own, on free ports.
# Sourced by the scripts beside it; $1 of each is the binary.
set -euo pipefail
binary=$(realpath "$1")
work=$(mktemp -d)
pids=()

finish() {
    for pid in "${pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "FAILED: $*" >&2
    tail -n 20 "$work"/*.log >&2 || true
    exit 1
}

# wait_for FILE PATTERN: the first match of PATTERN in FILE, once it is there.
wait_for() {
    for _ in $(seq 1 600); do
        if grep -oEm1 -- "$2" "$1" 2>/dev/null; then return 0; fi
        sleep 0.05
    done
    fail "no $2 in $1"
}

# start_sandbox [FLAG …]: sets $dqe and $control.
start_sandbox() {
    rm -f "$work/sandbox.log"
    "$binary" sandbox --address 127.0.0.1:0 --control-address 127.0.0.1:0 "$@" >"$work/sandbox.log" 2>&1 &
    sandbox_pid=$!
    pids+=("$sandbox_pid")
    dqe=$(wait_for "$work/sandbox.log" 'answers on https?://[0-9.:]+' | sed 's/answers on //')
    control=$(wait_for "$work/sandbox.log" 'control port is http://[0-9.:]+' | sed 's/control port is //')
}

# start_proxy [NAME=VALUE …]: with environment variables only; sets $proxy and $admin.
start_proxy() {
    rm -f "$work/proxy.log"
    env DQE_SERVER="$dqe" DQE_LICENCE=SANDBOX DQE_CLIENT_SECRET=sandbox-secret \
        DQE_PROXY_LISTENER_ADDRESS=127.0.0.1:0 DQE_PROXY_ADMIN_ADDRESS=127.0.0.1:0 \
        DQE_PROXY_LOG_FORMAT=json DQE_PROXY_DRAIN_DELAY=0s "$@" \
        "$binary" run >"$work/access.log" 2>"$work/proxy.log" &
    proxy_pid=$!
    pids+=("$proxy_pid")
    proxy=http://$(wait_for "$work/proxy.log" '"listener":"[0-9.:]+"' | cut -d'"' -f4)
    admin=http://$(wait_for "$work/proxy.log" '"admin":"[0-9.:]+"' | cut -d'"' -f4)
}

# counter NAME: one counter of the fake DQE.
counter() {
    curl -sS "$control/counters" | tr ',{}' '\n' | sed -n "s/^ *\"$1\": *//p"
}

#!/usr/bin/env bash
# User-space instructions a request costs: no more than committed.
# needs: valgrind python3
set -euo pipefail
cd "$(dirname "$0")/../.."
benches/instructions/run --binary "$1"

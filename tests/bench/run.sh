#!/bin/bash
# Measures moored beside its peers on this machine (Debian 12, as root) and prints a table of ratios:
# installs podman, crun, kubectl, nginx and fcgiwrap where they are missing, makes a release build
# with the bench programs, and removes everything it made. docs/performance.md explains the rows.
#
#   tests/bench/run.sh           prints the table
#   tests/bench/run.sh --check   the same, and exits 1 when a "must" is missed
#   tests/bench/run.sh --quick   fewer repetitions
#
# MOORED_BUILD names a release build that is there already.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "tests/bench/run.sh: run as root (sudo $0)" >&2; exit 1; }
docs/package/install-dependencies.sh bench
build=${MOORED_BUILD:-build/release}
if [ -z "${MOORED_BUILD:-}" ]; then
  cmake --preset release -DMOORED_BENCH=ON -DMOORED_TESTS=ON >/dev/null
  cmake --build --preset release --target moored moorctl moored-git moored-probe moored-pull moored-unpack \
    moored-shim moored-invariants bench-sandbox bench-poll
fi
exec python3 tests/bench/bench.py "$build" "$@"

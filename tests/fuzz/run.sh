#!/bin/bash
# Builds the fuzzers and runs each for so many seconds, or only those named, one after another:
#   tests/fuzz/run.sh SECONDS [yaml json http image tree shim]
# Starts from the seeds beside this file, from manifests and golden files of the repository, and
# from what earlier runs found (build/fuzz/corpus). A finding is a file build/fuzz/found/NAME-*, and
# the exit is 1; run it again with build/fuzz/bin/fuzz_NAME FILE.
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [NAME...]}
shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(yaml json http image tree shim)

cmake --preset fuzz >/dev/null || exit 1
cmake --build build/fuzz --target "${names[@]/#/fuzz_}" -- -j "${MOORED_JOBS:-2}" || exit 1
mkdir -p build/fuzz/found
# Undefined behaviour ends a run like any other finding.
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:suppressions=$PWD/tests/ubsan.supp

# seeds NAME : what its fuzzer starts from, in build/fuzz/corpus/NAME
seeds() {
  local to=build/fuzz/corpus/$1
  mkdir -p "$to"
  cp -n tests/fuzz/seeds/"$1"/* "$to"/
  case $1 in
    yaml) find examples tests/scenario -name '*.yaml' -exec cp -n -t "$to" {} + ;;
    json) find examples tests -name '*.json' -exec cp -n -t "$to" {} + ;;
  esac
}

failed=0
for name in "${names[@]}"; do
  seeds "$name"
  log=build/fuzz/found/$name.log
  if nice build/fuzz/bin/fuzz_"$name" -max_total_time="$seconds" -max_len=16384 -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix=build/fuzz/found/"$name"- \
    build/fuzz/corpus/"$name" >"$log" 2>&1; then
    echo "fuzz_$name: no finding in $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs"
  else
    failed=1
    echo "fuzz_$name: FOUND something"
    grep -aE 'does not hold|ERROR|runtime error|SUMMARY|Test unit written' "$log" | head -8
  fi
done
exit $failed

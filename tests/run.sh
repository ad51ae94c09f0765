#!/bin/bash
# Sets everything up and runs every test of moored on this machine (Debian 12, as root):
#   packages, a dev build, unit, scenario, golden, simulation and privileged tests, one boot of a
#   cgroup v2 virtual machine, the life of the package in one with systemd, end to end with a real
#   git daemon and stock kubectl, bad input and other people's manifests, and the parsers and the
#   core once more under the address sanitizer. Prints each stage and a count at the end.
#
#   tests/run.sh              everything
#   tests/run.sh --quick      without the virtual machines, bad input, manifests and the sanitizer
#   tests/run.sh STAGE...     only these: build unit sim privileged vm package e2e badinput corpus
#                             asan
#
# A test that cannot run on this machine is counted and named as skipped.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
reports=$root/build/reports
stages=(build unit sim privileged vm package e2e badinput corpus asan)
case "${1:-}" in
  --quick) stages=(build unit sim privileged e2e) ;;
  "") ;;
  *) stages=("$@") ;;
esac
[ "$(id -u)" = 0 ] || { echo "tests/run.sh: run as root (sudo ./tests/run.sh)" >&2; exit 1; }

passed=0 failed=0 skipped=0 broken=()
started=$SECONDS

say() { printf '\n==> %s (%d s)\n' "$*" $((SECONDS - started)); }

# count PASSED FAILED SKIPPED : adds a stage to the totals
count() {
  passed=$((passed + $1))
  failed=$((failed + $2))
  skipped=$((skipped + $3))
  printf 'passed %d, failed %d, skipped %d\n' "$1" "$2" "$3"
}

# run_ctest DIRECTORY LABEL [OPTIONS...] : one label's tests, counted from the report
run_ctest() {
  local directory=$1 label=$2 report=$reports/$(basename "$1")-$2.xml
  shift 2
  rm -f "$report"
  ctest --test-dir "$directory" -L "^($label)\$" --output-on-failure --output-junit "$report" \
    --timeout 300 "$@" >"${report%.xml}.log" 2>&1
  python3 tests/report.py "$report" "${report%.xml}.log" >"${report%.xml}.sum" || {
    tail -30 "${report%.xml}.log"
    broken+=("$label: no report")
    failed=$((failed + 1))
    return
  }
  # shellcheck disable=SC2046
  count $(head -n 1 "${report%.xml}.sum")
  tail -n +2 "${report%.xml}.sum"
  if [ "$(cut -d' ' -f2 <"${report%.xml}.sum" | head -n 1)" != 0 ]; then
    broken+=("$label")
    grep -nE 'FAILED|Failed|error:|\*\*\*' "${report%.xml}.log" | head -60
  fi
}

stage_build() {
  say "packages and dev build"
  docs/package/install-dependencies.sh test || exit 1
  cmake --preset dev >/dev/null || exit 1
  cmake --build --preset dev || { echo "the build failed"; exit 1; }
}

stage_unit() {
  say "unit, scenario and golden tests"
  run_ctest build/dev 'unit|scenario' -j 2
}

stage_sim() {
  say "simulation with ${MOORED_SIM_SEEDS:=120} seeds"
  export MOORED_SIM_SEEDS
  run_ctest build/dev sim -j 2
}

stage_privileged() {
  say "privileged tests: namespaces, cgroups, mounts, links, rules"
  run_ctest build/dev privileged -j 1
}

# boot SCRIPT : one virtual machine, counted by the lines that it prints
boot() {
  local script=$1 out status=0
  out=$("$script" build/dev 2>&1) || status=$?
  grep -E '^(PASS|SKIP)' <<<"$out"
  if [ "$status" != 0 ]; then  # everything the machine said: it holds the failed assertions
    broken+=("$script: exit $status")
    grep -vE '^(PASS|SKIP)' <<<"$out" | tail -n 200
  fi
  count "$(grep -c '^PASS' <<<"$out")" "$(grep -c '^FAIL' <<<"$out")" "$(grep -c '^SKIP' <<<"$out")"
  grep -qE '^(PASS|SKIP)' <<<"$out" || { broken+=("$script: nothing ran"); failed=$((failed + 1)); }
}

stage_vm() {
  say "one boot of the cgroup v2 virtual machine"
  boot tests/vm/run.sh
}

stage_package() {
  say "the life of the package in a virtual machine with systemd"
  boot tests/vm/systemd.sh
}

stage_e2e() {
  say "end to end: git daemon, moored, kubectl"
  local sum
  python3 tests/e2e/run.py --bin build/dev/bin --jobs 4 2>&1 | tee "$reports/e2e.log"
  sum=$(grep -E '^e2e: passed' "$reports/e2e.log" | tail -n 1)
  if [ -z "$sum" ]; then
    broken+=("e2e: no result")
    failed=$((failed + 1))
    return
  fi
  # shellcheck disable=SC2046
  count $(sed -E 's/[^0-9]+/ /g' <<<"${sum#e2e}")
  grep -q 'failed 0' <<<"$sum" || broken+=(e2e)
}

# shared NAME : a folder of inputs from outside the repository, or nothing, said loudly
shared() {
  local path=${MOORED_SHARED:-$root/../shared}/$1
  [ -d "$path" ] && { echo "$path"; return; }
  echo "SKIPPED: no $path; set MOORED_SHARED to the folder that holds $1" >&2
  return 1
}

stage_badinput() {
  say "bad input: repositories, manifests, servers, images, requests"
  local inputs sum
  inputs=$(shared badinput) || { count 0 0 1; return; }
  timeout 1500 python3 tests/e2e/badinput.py "$inputs" --bin build/dev/bin --jobs 2 2>&1 | tee "$reports/badinput.log"
  sum=$(grep -E '^badinput: passed' "$reports/badinput.log" | tail -n 1)
  [ -n "$sum" ] || { broken+=("badinput: no result"); count 0 1 0; return; }
  # shellcheck disable=SC2046
  count $(sed -E 's/[^0-9]+/ /g' <<<"${sum#badinput}")
  grep -q 'failed 0' <<<"$sum" || broken+=(badinput)
}

stage_corpus() {
  # All pods of the corpus take some minutes: tests/e2e/corpus.py DIRECTORY --start
  say "manifests of other people, ${MOORED_CORPUS_PODS:=36} of their pods started"
  local inputs
  inputs=$(shared corpus) || { count 0 0 1; return; }
  if timeout 1500 python3 tests/e2e/corpus.py "$inputs" --bin build/dev/bin --start "$MOORED_CORPUS_PODS" \
    >"$reports/corpus.log" 2>&1; then
    grep -E '^(note|corpus|not started)' "$reports/corpus.log"
    count 1 0 0
  else
    grep -vE '^(accepted|refused)' "$reports/corpus.log" | tail -n 60
    count 0 1 0
    broken+=(corpus)
  fi
}

stage_asan() {
  # What reads foreign bytes and what decides; MOORED_ASAN_TESTS names other test programs.
  local programs=(${MOORED_ASAN_TESTS:-test_schema test_gitsync test_core test_scenario}) program
  say "tests under the address sanitizer: ${programs[*]}"
  export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp
  cmake --preset asan >/dev/null || exit 1
  cmake --build build/asan --target "${programs[@]}" || { echo "the sanitizer build failed"; exit 1; }
  for program in "${programs[@]}"; do
    if "build/asan/tests/$program" >"$reports/asan-$program.log" 2>&1; then
      echo "$program: $(grep -a 'All tests passed' "$reports/asan-$program.log")"
      count 1 0 0
    else
      tail -n 40 "$reports/asan-$program.log"
      count 0 1 0
      broken+=("asan $program")
    fi
  done
}

mkdir -p "$reports"
for stage in "${stages[@]}"; do
  declare -F "stage_$stage" >/dev/null || { echo "tests/run.sh: no stage $stage" >&2; exit 1; }
  "stage_$stage"
done

printf '\ntests run: %d, passed %d, failed %d, skipped %d, in %d s\n' \
  $((passed + failed)) "$passed" "$failed" "$skipped" $((SECONDS - started))
if [ "$failed" -gt 0 ] || [ ${#broken[@]} -gt 0 ]; then
  printf 'failed: %s\n' "${broken[*]}"
  exit 1
fi

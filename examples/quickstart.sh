#!/bin/bash
# From nothing to a running application in one command (Debian 12, as root):
#   installs what is needed, builds moored, makes a Git repository from examples/guestbook, runs
#   moored on it and shows the application answering on its Service.
#
#   examples/quickstart.sh           leaves it running and prints what to try next
#   examples/quickstart.sh --check   does what it advises by itself, in a network namespace of its
#                                    own, removes everything and exits 0 if all of it held
#   examples/quickstart.sh --stop    removes what an earlier run left running
#
# MOORED_BIN names a directory of programs that are built already.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
home=/var/tmp/moored-quickstart
bin=${MOORED_BIN:-$root/build/release/bin}
mode=${1:-run}
prefix=()
listen=127.0.0.1:6446

[ "$(id -u)" = 0 ] || { echo "quickstart: run as root (sudo $0)" >&2; exit 1; }
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() {
  echo "quickstart: $*" >&2
  [ -f "$home/daemon.log" ] && tail -n 25 "$home/daemon.log" >&2
  exit 1
}

ctl() { "${prefix[@]}" "$bin/moorctl" --run-dir "$home/run" "$@"; }
kube() { "${prefix[@]}" kubectl --kubeconfig "$home/kubeconfig" --cache-dir "$home/kube-cache" "$@"; }
fetch() { "${prefix[@]}" curl -sS --max-time 5 "http://$address$1"; }

# eventually SECONDS WHAT COMMAND... : repeats a command until it succeeds
eventually() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "waited in vain for $what"
    sleep 0.2
  done
}

build() {
  say "1. Packages and build"
  "$root/docs/package/install-dependencies.sh" build
  if [ -z "${MOORED_BIN:-}" ]; then
    (cd "$root" && cmake --preset release >/dev/null && cmake --build --preset release)
  fi
}

make_repository() {
  say "2. Images and a Git repository with the guestbook"
  [ -f "$home/images/web-2.tar" ] || "$root/examples/guestbook/images/build.sh" "$home/images"
  git init -q -b main "$home/repository"
  cp -r "$root/examples/guestbook/manifests" "$home/repository/manifests"
  repo config user.name "Quick Start"
  repo config user.email quickstart@example.org
  repo add -A
  repo commit -q -m "Open the guestbook"
  repo log --oneline
}
repo() { git -C "$home/repository" "$@"; }

start_daemon() {
  "${prefix[@]}" "$bin/moored" run --git "$home/repository" --branch main --path manifests \
    --interval 2s --state-dir "$home/state" --run-dir "$home/run" --log-dir "$home/log" \
    --listen "$listen" >>"$home/daemon.log" 2>&1 </dev/null &
  echo $! >"$home/daemon.pid"
  disown
  eventually 30 "the API" test -s "$home/run/api.json"
  ctl kubeconfig >"$home/kubeconfig"
}

start() {
  say "3. moored keeps this machine moored to $home/repository"
  start_daemon
  ctl image import guestbook/store:1 "$home/images/store-1.tar"
  ctl image import guestbook/web:1 "$home/images/web-1.tar"
  ctl image import guestbook/web:2 "$home/images/web-2.tar"
  kube -n guestbook rollout status deployment/store --timeout=60s
  kube -n guestbook rollout status deployment/web --timeout=60s
  address=$(kube -n guestbook get service web -o jsonpath='{.spec.clusterIP}')
  eventually 20 "an answer" fetch /healthz
  say "4. It answers on its Service http://$address/"
  "${prefix[@]}" curl -sS --data "hello from the quick start" "http://$address/" >/dev/null
  fetch /
  kube get pods -n guestbook -o wide
}

stop() {
  if [ -s "$home/run/api.json" ] && kill -0 "$(cat "$home/daemon.pid" 2>/dev/null)" 2>/dev/null; then
    ctl down --all
    eventually 60 "the daemon's end" not_running
  elif [ -d "$home/state" ]; then
    start_daemon
    ctl down --all
    eventually 60 "the daemon's end" not_running
  fi
  rm -rf "$home"
}
not_running() { ! kill -0 "$(cat "$home/daemon.pid")" 2>/dev/null; }

advise() {
  cat <<EOF

What to try next (all of it is in examples/quickstart.sh --check):
  export KUBECONFIG=$home/kubeconfig PATH=$bin:\$PATH
  kubectl get all -n guestbook
  moorctl --run-dir $home/run status
  curl http://$address/

  cd $home/repository
  sed -i 's/web:1/web:2/' manifests/web.yaml && git commit -am "Roll to version 2"
  moorctl --run-dir $home/run history        what changed, by whom, why
  moorctl --run-dir $home/run drift          kill a process and look here
  git checkout -b idea && …                  moorctl --run-dir $home/run plan --ref idea

Remove everything: $0 --stop
EOF
}

# ---- --check: the advice, carried out and judged ------------------------------------------------
commit() {
  repo commit -q -am "$1"
  repo rev-parse HEAD
}
version_is() { fetch /version | grep "version $1" >/dev/null; }
ready() {
  [ "$(kube -n guestbook get deployment web -o jsonpath='{.status.readyReplicas}/{.status.replicas}')" = "$1/$1" ]
}
unit_says() {
  kube -n moored-system get kustomizations.kustomize.toolkit.fluxcd.io default \
    -o jsonpath='{.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason} {.status.conditions[?(@.type=="Ready")].message}' |
    grep -- "$1" >/dev/null
}
revision_failed() { ctl trace "$1" -o json | grep '"outcome": *"failed"' >/dev/null; }
web_pods() { kube -n guestbook get pods -l app=web -o jsonpath='{range .items[*]}{.metadata.uid}{"\n"}{end}'; }

request_loop() {
  rm -f "$home/loop.stop"
  "${prefix[@]}" python3 - "$address" "$home/loop.stop" >"$home/loop.result" <<'EOF' &
import http.client, os, sys, time
good, bad = 0, []
while not os.path.exists(sys.argv[2]):
    try:
        link = http.client.HTTPConnection(sys.argv[1], 80, timeout=5)
        link.request("GET", "/version")
        answer = link.getresponse()
        answer.read()
        link.close()
        if answer.status != 200:
            raise OSError("status %d" % answer.status)
        good += 1
    except (OSError, http.client.HTTPException) as error:
        bad.append(repr(error))
    time.sleep(0.002)
print("%d requests, %d failed" % (good + len(bad), len(bad)), bad[:3])
sys.exit(1 if bad or not good else 0)
EOF
  loop=$!
}
end_loop() {
  touch "$home/loop.stop"
  wait "$loop" || die "the loop of requests: $(cat "$home/loop.result")"
  cat "$home/loop.result"
}

check_rollout() {
  say "5. A push rolls without a failed request"
  request_loop
  sed -i 's/web:1/web:2/' "$home/repository/manifests/web.yaml"
  commit "Roll to version 2"
  ctl sync --wait
  eventually 60 "version 2" version_is 2
  kube -n guestbook rollout status deployment/web --timeout=60s
  eventually 60 "only new pods" ready 3
  end_loop
}

check_kill() {
  say "6. A killed process is back and on the drift record"
  local pod uid pid
  eventually 60 "the old pods to be gone" only_pods 3
  pod=$(kube -n guestbook get pods -l app=web -o jsonpath='{.items[0].metadata.name}')
  uid=$(kube -n guestbook get pod "$pod" -o jsonpath='{.metadata.uid}')
  pid=$(python3 -c 'import glob,json,sys; print(json.load(open(sorted(glob.glob(sys.argv[1]))[-1]))["pid"])' \
    "$home/run/pods/$uid/c/*/*/state.json")
  kill -KILL "$pid"
  eventually 60 "the drift record" drift_names "$pod"
  eventually 30 "three ready pods" ready 3
  ctl drift
}
only_pods() { [ "$(web_pods | wc -l)" = "$1" ]; }
drift_names() { ctl drift -o json | grep -- "$1" >/dev/null; }

check_typo() {
  say "7. A typo is refused with its place, the old version keeps answering"
  sed -i 's/^  replicas: 3/  replica: 3/' "$home/repository/manifests/web.yaml"
  commit "Mistype a field"
  eventually 30 "the refusal" unit_says 'manifests/web.yaml:9:3.*replicas'
  ctl status
  version_is 2 || die "the old version does not answer"
  repo revert --no-edit HEAD >/dev/null
}

# check_failure WORDS SED-EXPRESSION : a revision that cannot become ready is reported as failed
check_failure() {
  say "8. $1: the old pods stay, the revision is reported as failed"
  local before sha uid now
  before=$(web_pods)
  sed -i "$2" "$home/repository/manifests/web.yaml"
  sha=$(commit "$1")
  eventually 90 "the failed revision" revision_failed "$sha"
  ctl trace "$sha"
  now=$(web_pods)
  for uid in $before; do
    [[ $now == *"$uid"* ]] || die "an old pod was taken away"
  done
  version_is 2 || die "the old version does not answer"
  repo revert --no-edit HEAD >/dev/null
  ctl sync --wait
  eventually 60 "three ready pods after the revert" ready 3
}

check_plan() {
  say "9. A branch is planned before it is merged"
  local status=0
  repo checkout -q -b idea
  sed -i 's/Welcome aboard/Ahoy/' "$home/repository/manifests/config.yaml"
  commit "Another title" >/dev/null
  repo checkout -q main
  ctl plan --ref idea || status=$?
  [ "$status" = 2 ] || die "plan exited $status, not 2"
  ctl plan --ref main || die "plan of what runs found changes"
}

check() {
  check_rollout
  check_kill
  check_typo
  check_failure "A missing image" 's#guestbook/web:2#guestbook/absent:1#'
  check_failure "A failing probe" 's#path: /healthz#path: /broken#'
  check_plan
  say "10. Read it all with stock kubectl"
  kube get nodes,namespaces -o wide
  kube get all -A
  kube -n guestbook describe deployment web | head -n 30
  kube -n guestbook logs deployment/store --tail=2
  kube get events -n guestbook --sort-by=.lastTimestamp | tail -n 5
  local refusal
  refusal=$(kube -n guestbook delete deployment web 2>&1) && die "a write was carried out"
  echo "$refusal"
  [[ $refusal == *"read-only"* ]] || die "a write was not refused in words"
  say "11. Remove everything"
  ctl down --all
  eventually 60 "the daemon's end" not_running
  say "quickstart: all of it held"
}

case "$mode" in
  run)
    build
    [ ! -d "$home/state" ] || { say "An earlier run is removed first"; stop; }
    mkdir -p "$home"
    make_repository
    start
    advise
    ;;
  --check)
    home=$(mktemp -d /var/tmp/moored-check-XXXXXX)
    namespace=$(basename "$home")
    cleanup() {
      touch "$home/loop.stop"
      if [ -s "$home/daemon.pid" ] && ! not_running; then ctl down --all || true; fi
      if [ -s "$home/daemon.pid" ] && ! not_running; then kill -KILL "$(cat "$home/daemon.pid")"; fi
      ip netns del "$namespace" 2>/dev/null || true
      rm -rf "$home"
    }
    trap cleanup EXIT
    build
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
    prefix=(nsenter "--net=/run/netns/$namespace")
    make_repository
    start
    check
    ;;
  --stop) stop ;;
  *) die "usage: quickstart.sh [--check|--stop]" ;;
esac

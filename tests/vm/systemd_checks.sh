#!/bin/bash
# Run in the virtual machine at each start of it: the life of the package, told by PASS and FAIL.
set -uo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TERM=dumb SYSTEMD_COLORS=0 SYSTEMD_URLIFY=0
stage=$(cat /test/stage 2>/dev/null || echo 1)
holder=/sys/fs/cgroup/moored.slice/moored-pods.service

# finish STATUS : the verdict, and off
finish() {
  echo "EXIT=$1"
  systemctl --no-block poweroff
  exit 0
}

# fail WHAT : says what, shows what may tell why, ends everything
fail() {
  echo "FAIL vm systemd: $*"
  systemctl status --no-pager --full moored.service moored-pods.service 2>&1
  journalctl --no-pager -n 80 -u moored.service -u moored-pods.service -o cat 2>&1
  moorctl status 2>&1
  systemd-cgls --no-pager /moored.slice 2>&1
  finish 1
}
pass() { echo "PASS vm systemd: $*"; echo "TIME $SECONDS s"; }

# need WHAT COMMAND... : the command holds, or everything ends
need() {
  local what=$1
  shift
  "$@" || fail "$what"
}

# within SECONDS WHAT COMMAND... : holds in the end
within() {
  local seconds=$1 what=$2 end=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what, not within $seconds s"
    sleep 0.5
  done
}

main_pid() { systemctl show -p MainPID --value moored.service; }
active() { [ "$(systemctl is-active moored.service)" = active ]; }
answers() { moorctl status; }
# The containers that run: pid and start time of each first process, sorted.
containers() {
  local process
  find "$holder"/moored-*/pods -name cgroup.procs -exec cat {} + 2>/dev/null | while read -r process; do
    grep -qs "trap" "/proc/$process/cmdline" && cut -d' ' -f1,22 "/proc/$process/stat" 2>/dev/null
  done | sort
}
two_run() { [ "$(containers | wc -l)" = 2 ]; }
changed() { local now; now=$(main_pid); [ "$now" != 0 ] && [ "$now" != "$1" ]; }
# status_of PID FIELD : a line of the kernel's about a process
status_of() { sed -n "s/^$2:[[:blank:]]*//p" "/proc/$1/status"; }
# may PID BIT : whether its bounding set has the capability with this number
may() { [ $((0x$(status_of "$1" CapBnd) >> $2 & 1)) = 1 ]; }
# processes_of PROGRAM : pids of what runs from this file
processes_of() {
  local exe
  for exe in /proc/[0-9]*/exe; do
    [ "$(readlink "$exe")" = "$1" ] && cut -d/ -f3 <<<"$exe"
  done
}

# What the units and the workers promise about rights.
confined() {
  local daemon worker bit modes
  daemon=$(main_pid)
  for bit in 16 17 22 32 33 34 35; do  # modules, raw ports, boot, MAC, syslog, wake
    may "$daemon" "$bit" && fail "the daemon may still do what capability $bit allows"
  done
  may "$daemon" 21 || fail "the daemon lacks a capability that pods need"
  [ "$(cat "/proc/$daemon/oom_score_adj")" = -999 ] || fail "the daemon's OOM score"
  modes=$(stat -c %a:%U /run/moored /var/lib/moored /var/lib/moored/store /run/moored/pods)
  [ "$(tr '\n' ' ' <<<"$modes")" = "711:root 711:root 700:root 700:root " ] ||
    fail "modes of the daemon's directories: $modes"
  worker=$(processes_of /usr/libexec/moored/moored-git | head -n 1)
  [ -n "$worker" ] || fail "no worker reads the repository"
  [ "$(status_of "$worker" Uid | cut -f1)" = "$(id -u moored-git)" ] || fail "the worker's user"
  # Reading is all that a repository on this machine may ask of it.
  [ $((0x$(status_of "$worker" CapEff) & ~4)) = 0 ] || fail "the worker has capabilities: $(cat "/proc/$worker/status")"
  [ "$(status_of "$worker" Seccomp)" = 2 ] || fail "the worker has no filter"
  [ "$(status_of "$worker" NoNewPrivs)" = 1 ] || fail "the worker may gain rights"
  pass "daemon and worker have only the rights they need"
}

# A store of a newer version, told by its header, is refused in words and left alone.
refuses_a_downgrade() {
  local store=/var/lib/moored/store/moored.db before=$1
  systemctl stop moored.service
  [ ! -s $store-wal ] || fail "a store that was closed keeps a log"
  dd if=$store of=/test/version bs=1 skip=60 count=4 status=none
  printf '\0\0\0\143' | dd of=$store bs=1 seek=60 conv=notrunc status=none
  sha256sum $store >/test/store.sum
  systemctl start moored.service 2>/dev/null && fail "a store of a newer version is taken"
  systemctl stop moored.service
  journalctl --no-pager -n 20 -u moored.service -o cat | grep -q "written by a newer moored" ||
    fail "a downgrade is not refused in words"
  sha256sum --quiet -c /test/store.sum || fail "a store that was refused is changed"
  dd if=/test/version of=$store bs=1 seek=60 conv=notrunc status=none
  need "starts with its own store" systemctl start moored.service
  pass "a store of a newer version is refused in words"
  untouched "a downgrade that is refused" "$before"
}

# untouched WHAT BEFORE : the same two processes, of which the daemon knows
untouched() {
  within 240 "the daemon answers after $1" answers
  [ "$(containers)" = "$2" ] || fail "pods are touched by $1: were $2; are $(containers)"
  pass "pods live through $1"
}

first_life() {
  need "installs" dpkg -i /test/moored.deb
  need "is enabled" systemctl -q is-enabled moored.service
  active && fail "runs without a configuration"
  id moored-git moored-probe moored-pull moored-unpack >/dev/null || fail "users of the workers are missing"
  [ -z "$(nft list tables)" ] || fail "installing made tables"
  [ ! -e /run/moored ] || fail "installing made a run directory"
  pass "installing enables the daemon and starts nothing"
  local complaints
  complaints=$(systemd-analyze verify --man=no moored.service moored-pods.service 2>&1 | grep moored)
  [ -z "$complaints" ] || fail "systemd complains about the units: $complaints"

  moorctl doctor || fail "the doctor finds a failure"
  pass "the doctor finds no failure"

  git init -q --bare -b main /srv/shop.git
  git clone -q /srv/shop.git /srv/checkout 2>/dev/null
  git -C /srv/checkout config user.name test
  git -C /srv/checkout config user.email test@example.org
  printf 'source:\n  url: /srv/shop.git\n  path: deploy\n  interval: 1m\n' >/etc/moored/moored.yaml
  need "the configuration holds" moored check
  need "starts, and says when it is ready" systemctl start moored.service
  active || fail "is not active"
  need "imports an image" moorctl image import example.org/box:1 /test/image
  mkdir /srv/checkout/deploy
  cp /test/manifests.yaml /srv/checkout/deploy/
  git -C /srv/checkout add . && git -C /srv/checkout commit -qm "Run a box" &&
    git -C /srv/checkout push -q origin HEAD:main || fail "push"
  need "the revision is ready" moorctl sync --wait --timeout 280
  two_run || fail "two containers run"
  [ -d "$holder" ] && [ ! -e /sys/fs/cgroup/system.slice/moored.service/pods ] ||
    fail "pods are not below the holder unit"
  pass "a push becomes pods below moored-pods.service"

  confined

  local before daemon
  before=$(containers)
  daemon=$(main_pid)
  kill -KILL "$daemon"
  within 240 "started again after kill -9" changed "$daemon"
  untouched "kill -9 of the daemon" "$before"

  need "restart" systemctl restart moored.service
  untouched "a restart of the daemon" "$before"

  daemon=$(main_pid)
  cp /etc/moored/moored.yaml /test/good.yaml
  echo 'sourze: {}' >>/etc/moored/moored.yaml
  systemctl reload moored.service 2>/dev/null && fail "a reload takes a configuration that is wrong"
  kill -HUP "$daemon"
  within 240 "answers after SIGHUP" answers
  [ "$(main_pid)" = "$daemon" ] || fail "a wrong configuration ended the daemon"
  cp /test/good.yaml /etc/moored/moored.yaml
  need "reload" systemctl reload moored.service
  within 240 "started again by reload" changed "$daemon"
  untouched "a reload of the configuration" "$before"

  systemctl daemon-reload && systemctl daemon-reexec || fail "systemd reloads"
  systemctl stop moored-pods.service 2>/dev/null && fail "moored-pods can be stopped by hand"
  untouched "daemon-reload and daemon-reexec" "$before"

  mkdir -p /run/systemd/system/moored.service.d
  printf '[Service]\nWatchdogSec=9\n' >/run/systemd/system/moored.service.d/watchdog.conf
  systemctl daemon-reload && systemctl restart moored.service || fail "shorter watchdog"
  daemon=$(main_pid)
  kill -STOP "$daemon"
  within 240 "started again when it hangs" changed "$daemon"
  rm -r /run/systemd/system/moored.service.d
  systemctl daemon-reload
  untouched "a daemon that hangs, which the watchdog ends" "$before"

  daemon=$(main_pid)
  need "upgrades" dpkg -i /test/moored.deb
  within 240 "the new version runs" changed "$daemon"
  untouched "an upgrade of the package" "$before"

  refuses_a_downgrade "$before"

  cat /proc/sys/kernel/random/boot_id >/test/boot_id
  echo 2 >/test/stage
  sync
  echo "TIME first life $SECONDS s"
  systemctl --no-block reboot
}

second_life() {
  echo 3 >/test/stage
  [ "$(cat /proc/sys/kernel/random/boot_id)" != "$(cat /test/boot_id)" ] || fail "the same boot"
  within 300 "the daemon is back after the machine" answers
  within 300 "pods are back after the machine" two_run
  need "the revision is ready again" moorctl sync --wait --timeout 280
  [ "$(cat /var/log/moored/pods/*/box/*.log | grep -c ended)" = 2 ] ||
    fail "pods did not end well with the machine: $(cat /var/log/moored/pods/*/box/*.log)"
  pass "pods end well with the machine and come back with it"

  local before
  before=$(containers)
  kill -KILL "$(systemctl show -p MainPID --value moored-pods.service)"
  need "restart without a holder" systemctl restart moored.service
  untouched "kill -9 of what holds their group, and a restart then" "$before"

  need "purges" dpkg --purge moored
  local left
  left=$(
    find /sys/fs/cgroup -name 'moored*'
    ls -d /var/lib/moored /var/log/moored /run/moored /etc/moored /usr/libexec/moored \
      /lib/systemd/system/moored* /etc/systemd/system/*/moored* 2>/dev/null
    nft list tables
    ls /sys/class/net | grep -v '^lo$'
    ip route
    grep moored /proc/self/mountinfo /etc/passwd /etc/group
    for program in /proc/[0-9]*/exe; do readlink "$program" | grep moored; done
    ip -o address show dev lo | grep -v '127.0.0.1\|::1'
    find /var/lib/systemd -name '*moored*'
  )
  [ -z "$left" ] || fail "a purge leaves: $left"
  pass "a purge leaves nothing"
  echo "TIME second life $SECONDS s"
  finish 0
}

case $stage in
  1) first_life ;;
  2) second_life ;;
  *) echo "FAIL vm systemd: the machine started once too often"; finish 1 ;;
esac

#!/bin/sh
# First process of the test machine: mounts, modules, tests, power off.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root MOORED_IN_VM=1
if [ ! -e /moved ]; then
  # pivot_root needs a root that is not the kernel's first one: move to a tmpfs and start again.
  mkdir /new
  mount -t tmpfs -o mode=755,size=700m tmpfs /new
  for entry in /*; do [ "$entry" = /new ] || cp -a "$entry" /new/; done
  touch /new/moved
  exec switch_root /new /init
fi
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var
mkdir -p /var/lib /var/log /var/tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in /modules/*; do insmod "$module" || echo "module $module not loaded"; done
ip link set lo up
program=$(cat /test/program)
# Commas separate test names for the program; those inside a name are escaped.
"$program" -# "$(cat /test/selection)" --list-test-names-only | sed 's/,/\\,/g' >/tmp/names
echo
status=0
while read -r name; do
  [ -n "$name" ] || continue
  read -r began _ </proc/uptime
  if "$program" "$name" >/tmp/out 2>&1; then
    if grep -qiE '^ *skip(ped)?: ' /tmp/out; then
      echo "SKIP $name: $(grep -iE '^ *skip(ped)?: ' /tmp/out)"
    else
      read -r ended _ </proc/uptime
      echo "PASS $name ($((${ended%.*} - ${began%.*})) s)"
    fi
  else
    echo "FAIL $name"
    cat /tmp/out
    status=1
  fi
done </tmp/names
echo "EXIT=$status"
poweroff -f

#!/bin/bash
# Boots Debian 12 with systemd and pure cgroup v2 in a virtual machine (software emulation, no KVM)
# and puts the package through its life there: install, push, kill, restart, hang, upgrade, restart
# of the machine, purge.
#   tests/vm/systemd.sh BUILD_DIRECTORY
# Prints PASS, FAIL or SKIP for each step, on failure everything the machine said, and exits 1.
# Leaves nothing behind.
set -euo pipefail
build=$(cd "${1:?"usage: systemd.sh BUILD_DIRECTORY"}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
deadline=${MOORED_VM_SECONDS:-1500}

skip() {
  echo "SKIP vm systemd: $1"
  exit 0
}
for program in qemu-system-x86_64 mke2fs dpkg-shlibdeps apt-cache; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || skip "$program is not installed"
done
for program in /sbin/init /usr/bin/systemctl /usr/bin/git /usr/sbin/userdel /sbin/modprobe; do
  [ -e "$program" ] || skip "this machine has no $program to be copied"
done
kernel=$(find /boot -name 'vmlinuz-6.1*' | sort -V | tail -n 1)
[ -n "$kernel" ] || skip "no Debian kernel in /boot"
version=${kernel#/boot/vmlinuz-}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root

# ---- the package, and a Debian with what it depends on -------------------------------------------

cmake --build "$build" --target moored_compressed >/dev/null
(cd "$scratch" && cpack --config "$build/CPackConfig.cmake" -B "$scratch/package" >"$scratch/cpack.log" 2>&1) ||
  { cat "$scratch/cpack.log"; echo "FAIL vm systemd: the package cannot be made"; exit 1; }
package=$(find "$scratch/package" -maxdepth 1 -name '*.deb')
needed=$(dpkg-deb -f "$package" Depends | sed -E 's/\([^)]*\)//g; s/\|[^,]*//g; s/[ ,]+/ /g')

# The packages of this machine that the other one needs: named, essential, and what those depend on.
list_packages() {
  local essential word provider
  # A name may stand for what another package provides.
  for word in $needed; do
    provider=$(dpkg-query -Wf '${Package} ${Provides}\n' |
      sed -nE "s/^([^ ]+) (.*[ ,])?$word( .*|,.*)?\$/\1/p" | head -n 1)
    needed="$needed $provider"
  done
  essential=$(dpkg-query -Wf '${Essential} ${Package}\n' | sed -n 's/^yes //p')
  # shellcheck disable=SC2086
  apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances systemd-sysv kmod git busybox-static passwd $needed $essential |
    grep '^[a-z]' | sort -u | while read -r name; do
    dpkg-query -Wf '${db:Status-Abbrev} ${binary:Package}\n' "$name" 2>/dev/null
  done | sed -n 's/^ii  *//p'
}

# make_debian ROOT : their files as dpkg has them, and what their scripts would have made. No mirror
# is asked, and nothing is unpacked a second time.
make_debian() {
  local root=$1 packages word
  mkdir -p "$root"/usr/{bin,sbin,lib,lib64,lib32,libx32}  # what /bin and others are links to
  packages=$(list_packages)
  # shellcheck disable=SC2086
  dpkg-query -L $packages | grep '^/' | grep -vE '^/usr/share/(man|doc|locale|perl|info)/' |
    sort -u >"$scratch/files"
  tar -C / --no-recursion --ignore-failed-read -cf - --files-from="$scratch/files" 2>/dev/null |
    tar -C "$root" -xf -
  mkdir -p "$root"/var/lib/dpkg/{info,updates}
  : >"$root/var/lib/dpkg/available"
  cp /var/lib/dpkg/info/format "$root/var/lib/dpkg/info/"
  for word in $packages; do cp /var/lib/dpkg/info/"$word".* "$root/var/lib/dpkg/info/"; done
  awk -v names="$packages" 'BEGIN { RS = ""; ORS = "\n\n"; n = split(names, list, /[ \n]+/)
      for (i = 1; i <= n; ++i) { sub(/:.*/, "", list[i]); wanted[list[i]] = 1 } }
    { split($0, lines, "\n"); sub(/^Package: /, "", lines[1]); if (lines[1] in wanted) print }' \
    /var/lib/dpkg/status >"$root/var/lib/dpkg/status"
  cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
  cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
  cp "$root/usr/share/libc-bin/nsswitch.conf" "$root/etc/nsswitch.conf"
  sed 's/^\([^:]*\):.*/\1:*:19000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
  sed 's/^\([^:]*\):.*/\1:*::/' "$root/etc/group" >"$root/etc/gshadow"
  chmod 640 "$root"/etc/{shadow,gshadow}
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  [ -e "$root/usr/bin/awk" ] || ln -s mawk "$root/usr/bin/awk"
  systemd-sysusers --root="$root" 2>/dev/null
  ldconfig -r "$root"
}
make_debian "$root"

# Only the modules that are needed, found by the kernel through modprobe as on any machine.
modules() {
  for module in "$@"; do
    modprobe --set-version "$version" --show-depends "$module" 2>/dev/null |
      sed -n 's/^insmod \([^ ]*\).*/\1/p'
  done | awk '!seen[$0]++'
}
modules overlay veth nf_tables nf_nat nft_nat nft_masq nft_numgen nft_hash nft_ct nft_fib_inet \
  nft_reject_inet nft_reject_ipv4 nft_chain_nat nf_conntrack_netlink nf_conntrack autofs4 |
  while read -r file; do install -D -m 644 "$file" "$root$file"; done
cp /lib/modules/"$version"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$version/"
depmod -b "$root" "$version"

# ---- what is tested in it ------------------------------------------------------------------------

install -D -m 755 "$here/systemd_checks.sh" "$root/test/checks"
install -m 644 "$here/systemd_manifests.yaml" "$root/test/manifests.yaml"
cp "$package" "$root/test/moored.deb"
mkdir -p "$root/test/image"/{bin,etc,tmp}
cp /bin/busybox "$root/test/image/bin/busybox"
for applet in sh sleep echo cat; do ln -s busybox "$root/test/image/bin/$applet"; done
cat >"$root/etc/systemd/system/checks.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/test/checks
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
[Install]
WantedBy=default.target
UNIT
echo moored-test >"$root/etc/hostname"
: >"$root/etc/fstab"
mkdir -p "$root/etc/systemd/system/default.target.wants"
ln -s ../checks.service "$root/etc/systemd/system/default.target.wants/"
for unit in serial-getty@ttyS0.service getty@tty1.service systemd-timesyncd.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  systemd-networkd.service systemd-logind.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mke2fs -q -t ext4 -d "$root" "$scratch/disk" 8g
rm -rf "$root"

# ---- the way to it: a first root in memory that mounts the disk ----------------------------------

first=$scratch/first
mkdir -p "$first"/{bin,proc,sys,dev,new,modules}
chmod 755 "$first"
cp /bin/busybox "$first/bin/busybox"
for applet in sh mount insmod switch_root sleep; do ln -s busybox "$first/bin/$applet"; done
number=100
modules virtio_pci virtio_blk ext4 | while read -r file; do
  cp "$file" "$first/modules/$number-$(basename "$file")"
  number=$((number + 1))
done
cat >"$first/init" <<'INIT'
#!/bin/sh
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module"; done
until mount -t ext4 /dev/vda /new; do sleep 0.1; done
mount --move /dev /new/dev
exec switch_root /new /sbin/init
INIT
chmod 755 "$first/init"
(cd "$first" && find . | cpio -o -H newc --owner 0:0 --quiet | gzip -1) >"$scratch/initrd"

# A busy machine may starve the emulated timer, which the kernel would take for broken hardware.
booted=0
timeout "$deadline" qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 \
  -kernel "$kernel" -initrd "$scratch/initrd" -append "console=ttyS0 quiet panic=1 no_timer_check systemd.show_status=0" \
  -drive "file=$scratch/disk,format=raw,if=virtio,cache=unsafe" \
  -display none -nodefaults -serial "file:$scratch/serial" -monitor none </dev/null || booted=$?
tr -d '\r' <"$scratch/serial" >"$scratch/console"
if [ "$booted" != 0 ] || ! grep -q '^EXIT=0' "$scratch/console"; then
  cat "$scratch/console"
  echo "FAIL vm systemd: the machine did not finish its checks (emulator exit $booted)"
  exit 1
fi
grep -E '^(PASS|SKIP|TIME)' "$scratch/console"

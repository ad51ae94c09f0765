#!/bin/bash
# Boots Debian's kernel with pure cgroup v2 in a small virtual machine (software emulation, no
# KVM) and runs all privileged tests in it.
#   tests/vm/run.sh BUILD_DIRECTORY [SELECTION]    a selection as Catch2 takes it with -#
# Prints PASS, FAIL or SKIP and the name of each test, what a failed one said, and exits 1 if one
# failed or the machine did not finish. Leaves nothing behind.
set -euo pipefail
build=$(cd "${1:?"usage: run.sh BUILD_DIRECTORY"}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
deadline=${MOORED_VM_SECONDS:-1500}
selection=${2:-*}

skip() {
  echo "SKIP vm: $1"
  exit 0
}
command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86 is not installed"
kernel=$(find /boot -name 'vmlinuz-6.1*' | sort -V | tail -n 1)
[ -n "$kernel" ] || skip "no Debian kernel in /boot"
version=${kernel#/boot/vmlinuz-}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
# The root directory must be open to everybody, or every unprivileged test in it breaks.
mkdir -p "$root" && chmod 755 "$root"
mkdir -p "$root"/{bin,sbin,proc,sys,dev,tmp,run,etc,root,test,modules,var/lib,var/log,usr/sbin,usr/bin}
cp /bin/busybox "$root/bin/busybox"
for applet in mount umount insmod poweroff cat ls mkdir rm grep sleep id ln cp touch switch_root sed \
  head tail tr wc sort; do
  ln -s busybox "$root/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

# copy FILE : into the image at its own path, with the libraries it is linked to
copy() {
  local library
  mkdir -p "$root$(dirname "$1")"
  cp -L "$1" "$root$1"
  for library in $(ldd "$1" 2>/dev/null | grep -oE '/[^ ]+'); do
    [ -e "$root$library" ] || { mkdir -p "$root$(dirname "$library")"; cp -L "$library" "$root$library"; }
  done
}
copy "$build/tests/test_privileged"
copy "$build/tests/test_inside"
for program in "$build"/bin/*; do copy "$program"; done
copy "$(command -v nft)"
copy "$(readlink -f "$(command -v ip)")"
copy "$(command -v nsenter)"
copy "$(command -v openssl)"
copy /usr/lib/ssl/openssl.cnf
copy "$(command -v busybox)"
# A shell that takes the real programs: busybox's own prefers its applets, such as its small ip.
copy /bin/dash
ln -sf dash "$root/bin/sh"
# stripped copies keep the image small
strip -g "$root$build/tests/test_privileged" "$root$build"/bin/*

number=100
for module in overlay veth nf_tables nf_nat nft_nat nft_masq nft_numgen nft_hash nft_ct nft_fib_inet \
  nft_reject_inet nft_reject_ipv4 nft_chain_nat nf_conntrack_netlink nf_conntrack; do
  modprobe --set-version "$version" --show-depends "$module" 2>/dev/null |
    sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r file; do
  cp "$file" "$root/modules/$number-$(basename "$file")"
  number=$((number + 1))
done

cp "$here/init.sh" "$root/init"
chmod 755 "$root/init"
echo "$build/tests/test_privileged" >"$root/test/program"
echo "$selection" >"$root/test/selection"
(cd "$root" && find . | cpio -o -H newc --owner 0:0 --quiet | gzip -1) >"$scratch/initrd"

booted=0
timeout "$deadline" qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp 2 -m 1024 \
  -kernel "$kernel" -initrd "$scratch/initrd" \
  -append "console=ttyS0 quiet panic=-1 no_timer_check cgroup_no_v1=all" \
  -nographic -no-reboot -nodefaults -serial stdio -monitor none </dev/null \
  | tr -d '\r' >"$scratch/console" || booted=$?
cat "$scratch/console"
if [ "$booted" != 0 ] || ! grep -q '^EXIT=0' "$scratch/console"; then
  echo "FAIL vm: the machine did not finish its tests (emulator exit $booted)"
  exit 1
fi

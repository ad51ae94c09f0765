#!/bin/bash
# Installs the Debian 12 packages that moored needs, skipping what is already there.
#   install-dependencies.sh build   to compile and run moored and the quick start
#   install-dependencies.sh package to make the .deb as well
#   install-dependencies.sh test    to run the tests as well
#   install-dependencies.sh bench   to measure it beside other programs
set -euo pipefail

build=(g++ cmake ninja-build pkg-config ccache mold
  libgit2-dev libssh2-1-dev libyaml-cpp-dev libyaml-dev rapidjson-dev libcpprest-dev libsqlitecpp-dev
  libsqlite3-dev libcgroup-dev libboost-dev libboost-filesystem-dev libboost-system-dev
  libseccomp-dev libmnl-dev libarchive-dev libzstd-dev zlib1g-dev libspdlog-dev libfmt-dev
  libcli11-dev libssl-dev libcurl4-openssl-dev
  nftables iproute2 git curl ca-certificates python3)
package=(dpkg-dev)
test=(catch2 busybox-static sqlite3 qemu-system-x86 linux-image-amd64 cpio kmod python3-yaml
  systemd-sysv passwd e2fsprogs docker-registry apache2-utils zstd libwrap0 openssl libfaketime)
bench=(busybox-static podman crun conmon netavark catatonit iptables nginx-light fcgiwrap)

packages=("${build[@]}")
case ${1:-build} in
  package) packages+=("${package[@]}") ;;
  test) packages+=("${package[@]}" "${test[@]}") ;;
  bench) packages+=("${test[@]}" "${bench[@]}") ;;
esac
# kubectl comes from kubernetes-client unless the machine has one already.
command -v kubectl >/dev/null || packages+=(kubernetes-client)

# The ssh server for the tests of sources is unpacked, not installed: none begins to listen.
sshd=/usr/local/lib/moored-tests/sshd
unpack_sshd() {
  { [ "${1:-build}" = test ] && [ ! -x "$sshd" ] && [ "$(id -u)" = 0 ]; } || return 0
  local place
  place=$(mktemp -d)
  chmod 755 "$place"
  (cd "$place" && apt-get download -qq openssh-server && dpkg-deb -x openssh-server_*.deb . &&
    install -D -m 755 usr/sbin/sshd "$sshd")
  rm -rf "$place"
}

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$state" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  unpack_sshd "$@"
  echo "packages: all ${#packages[@]} are installed"
  exit 0
fi
[ "$(id -u)" = 0 ] || { echo "run as root: these packages are missing: ${missing[*]}" >&2; exit 1; }
echo "packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
unpack_sshd "$@"

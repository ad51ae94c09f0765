#!/bin/bash
# Makes the images of the guestbook from Debian packages, without installing any of them:
#   guestbook/web:1, guestbook/web:2   nginx with a page in Lua
#   guestbook/store:1                  redis
# Usage: build.sh OUTPUT_DIRECTORY
# The packages are fetched with apt-get download and unpacked into one directory for each layer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?"usage: build.sh OUTPUT_DIRECTORY"}
mkdir -p "$out"
out=$(cd "$out" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"

base=(libc6 libcrypt1 libgcc-s1 libstdc++6 zlib1g libssl3 busybox-static)
web=(nginx nginx-common libpcre2-8-0 libpcre3 libnginx-mod-http-ndk libnginx-mod-http-lua
  libluajit2-5.1-2 lua-resty-core lua-resty-lrucache lua-nginx-redis)
store=(redis-tools redis-server libatomic1 libjemalloc2 liblzf1 libsystemd0 liblzma5 libzstd1
  liblz4-1 libcap2 libgcrypt20 libgpg-error0)

# fetch NAME... : the packages' files below $scratch/debs
fetch() {
  mkdir -p "$scratch/debs"
  chmod 777 "$scratch/debs"
  (cd "$scratch/debs" && apt-get download -qq "$@" >/dev/null)
}

# unpack LAYER NAME... : packages into a layer, without what nobody reads in a container
unpack() {
  local layer=$scratch/$1 package
  shift
  mkdir -p "$layer"
  for package in "$@"; do
    dpkg-deb --extract "$scratch"/debs/"${package}"_*.deb "$layer"
  done
  rm -rf "$layer"/usr/share/{doc,man,locale,lintian,bug} "$layer"/lib/systemd \
    "$layer"/etc/{init.d,cron.d,logrotate.d,ufw,default}
}

fetch "${base[@]}" "${web[@]}" "${store[@]}"

unpack base "${base[@]}"
root=$scratch/base
# Debian's merged /usr: the packages bring /bin and /lib, the links make both spellings work.
for folder in bin sbin lib lib64; do
  mkdir -p "$root/usr/$folder"
  if [ -d "$root/$folder" ]; then
    cp -a "$root/$folder/." "$root/usr/$folder/"
    rm -rf "${root:?}/$folder"
  fi
  ln -s "usr/$folder" "$root/$folder"
done
mkdir -p "$root"/{etc,proc,sys,dev,run,tmp,var/log,var/lib,root}
chmod 1777 "$root/tmp"
printf 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\nredis:x:100:100:redis:/var/lib/redis:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nwww-data:x:33:\nredis:x:100:\nnogroup:x:65534:\n' >"$root/etc/group"
for applet in $("$root/bin/busybox" --list); do
  [ -e "$root/usr/bin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"
done

# merge LAYER : moves a layer's /bin and /lib below /usr, where the base layer's links lead
merge() {
  local layer=$scratch/$1 folder
  for folder in bin sbin lib; do
    if [ -d "$layer/$folder" ]; then
      mkdir -p "$layer/usr/$folder"
      cp -a "$layer/$folder/." "$layer/usr/$folder/"
      rm -rf "${layer:?}/$folder"
    fi
  done
}
unpack nginx "${web[@]}"
merge nginx
mkdir -p "$scratch"/nginx/var/{log/nginx,lib/nginx}
unpack redis "${store[@]}"
merge redis
mkdir -p "$scratch/redis/var/lib/redis"

for version in 1 2; do
  mkdir -p "$scratch/page$version/etc/nginx"
  cp "$here/web/nginx.conf" "$here/web/guestbook.lua" "$scratch/page$version/etc/nginx/"
  echo "$version" >"$scratch/page$version/etc/nginx/version"
  python3 "$here/../../oci_image.py" --output "$out/web-$version.tar" \
    --name "guestbook/web:$version" --layer "$scratch/base" --layer "$scratch/nginx" \
    --layer "$scratch/page$version" --entrypoint /usr/sbin/nginx --entrypoint=-c \
    --entrypoint /etc/nginx/nginx.conf --stop-signal SIGQUIT
done
mkdir -p "$scratch/conf/etc/redis"
cp "$here/store/redis.conf" "$scratch/conf/etc/redis/redis.conf"
python3 "$here/../../oci_image.py" --output "$out/store-1.tar" --name guestbook/store:1 \
  --layer "$scratch/base" --layer "$scratch/redis" --layer "$scratch/conf" \
  --entrypoint /usr/bin/redis-server --entrypoint /etc/redis/redis.conf
ls -l "$out"/*.tar

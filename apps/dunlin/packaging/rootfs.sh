#!/bin/sh
# Makes the root of a container from the package, without a daemon and without a network:
#   rootfs.sh target/package/dunlin_VERSION_ARCH.deb FOLDER
# It has the package, the libraries that the program is linked to, and the files that glibc looks up
# names with. `chroot FOLDER /usr/bin/dunlin serve --config /etc/dunlin/dunlin.toml` runs it.
set -eu

deb=$1
root=$2
mkdir -p "$root"
dpkg-deb -x "$deb" "$root"
mkdir -p "$root/tmp" "$root/run/dunlin" "$root/var/lib/dunlin" "$root/var/log/dunlin" "$root/proc" "$root/dev"
chmod 1777 "$root/tmp"

# The libraries, each at the path that the loader knows it by.
ldd "$root/usr/bin/dunlin" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' |
while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done

printf 'root:x:0:0:root:/:/usr/sbin/nologin\ndunlin:x:900:900::/var/lib/dunlin:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\ndunlin:x:900:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
if [ "$(id -u)" = 0 ]; then
    chown 900:900 "$root/var/lib/dunlin" "$root/var/log/dunlin" "$root/run/dunlin"
fi

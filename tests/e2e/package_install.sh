# Installs, upgrades, removes and purges the package in a throw-away copy of this system.
#   unshare --mount sh package_install.sh PACKAGE ADDRESS
# Exits with 77 if this system allows no such copy.
set -eu
package=$1
address=$2
scratch=$(mktemp -d)
mount -t tmpfs none "$scratch" || exit 77
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay none -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/root" || exit 77
mount --rbind /proc "$scratch/root/proc"
mount --rbind /dev "$scratch/root/dev"
mkdir -p "$scratch/root/tmp"
cp "$package" "$scratch/root/tmp/dunlin.deb"

exec chroot "$scratch/root" /bin/sh -eu <<END
export DEBIAN_FRONTEND=noninteractive
is_gone() { if [ -e "\$1" ]; then echo "\$1 is still there"; exit 1; fi; }
wants=/etc/systemd/system/multi-user.target.wants/dunlin.service
dpkg -P dunlin >/dev/null 2>&1 || true

echo "installation"
dpkg -i /tmp/dunlin.deb
[ "\$(stat -c '%U:%G %a' /var/lib/dunlin)" = "dunlin:dunlin 750" ]
[ -L \$wants ]
dunlin --version
man -w dunlin || [ -e /usr/share/man/man1/dunlin.1.gz ] || echo "this system leaves manual pages out"
sed -i 's/^listen = "127.0.0.1:8081"/listen = "127.0.0.1:0"/' /etc/dunlin/dunlin.toml
dunlin check --config /etc/dunlin/dunlin.toml
dunlin serve --config /etc/dunlin/dunlin.toml --listen $address & pid=\$!
n=0
until grep -q "dunlin serves this page" /tmp/page; do
    n=\$((n + 1)); [ \$n -lt 600 ]; kill -0 \$pid
    sleep 0.1
    bash -c 'exec 3<>/dev/tcp/${address%:*}/${address##*:} && printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3 && cat <&3' >/tmp/page 2>&1 || true
done 2>/tmp/errors
kill \$pid
wait \$pid

echo "upgrade"
rm \$wants
dpkg -i /tmp/dunlin.deb
# It is as the operator left it.
is_gone \$wants
grep -q 127.0.0.1:0 /etc/dunlin/dunlin.toml

echo "removal"
dpkg -r dunlin
is_gone /usr/bin/dunlin
is_gone /usr/lib/systemd/system/dunlin.service
[ -e /etc/dunlin/dunlin.toml ]
[ -d /var/lib/dunlin ]

echo "purge"
dpkg -P dunlin
for path in /etc/dunlin /etc/logrotate.d/dunlin /var/lib/dunlin /var/log/dunlin \$wants /etc/systemd/system/dunlin.service; do
    is_gone \$path
    [ ! -L \$path ]
done
echo "done"
END

#!/bin/sh
# base-image.sh debian:CODENAME makes sure that the Docker engine has this image: by pulling it, and where that fails by
# making one of the same name with debootstrap, from its default mirror.
set -eu
image=$1

if docker image inspect "$image" > /dev/null 2>&1 || docker pull "$image"; then exit; fi

codename=${image#debian:}
if [ "$image" = "$codename" ] || [ "$(id -u)" != 0 ] || ! command -v debootstrap > /dev/null; then
  echo "$image cannot be pulled; to make it takes root, debootstrap, and a name of the form debian:CODENAME" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
export DEBOOTSTRAP_DIR="$work/debootstrap"
cp -r /usr/share/debootstrap "$DEBOOTSTRAP_DIR"
# It has no script for a release that is younger than itself; all of them are this one.
[ -e "$DEBOOTSTRAP_DIR/scripts/$codename" ] || ln -s sid "$DEBOOTSTRAP_DIR/scripts/$codename"

echo "making $image with debootstrap"
debootstrap --variant=minbase "$codename" "$work/root" > "$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }

# The lists of a release in the making are valid for a week; a mirror that stands still offers older ones.
chroot "$work/root" apt-get --error-on=any update > "$work/log" 2>&1 \
  || echo 'Acquire::Check-Valid-Until "false";' > "$work/root/etc/apt/apt.conf.d/no-valid-until"
rm -rf "$work/root/var/lib/apt/lists" "$work/root/var/cache/apt"/*.bin "$work/root/var/cache/apt/archives"/*.deb
tar -C "$work/root" -c . | docker import --change 'CMD ["bash"]' - "$image"

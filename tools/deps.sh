#!/bin/sh
# Installs the Debian packages of tools/deps.list that are missing, saying which and why.
# usage: tools/deps.sh up|test   (test includes up)
set -eu
want=${1:-test}
list=$(dirname "$0")/deps.list
missing=
while read -r set package why; do
	case $set in '' | '#'*) continue ;; esac
	[ "$want" = up ] && [ "$set" != up ] && continue
	if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
		echo "deps: $package is missing: $why"
		missing="$missing $package"
	fi
done <"$list"
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || { echo "deps: this is not a Debian machine: install$missing by hand" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "deps: run as root, or install by hand: apt-get install$missing" >&2; exit 1; }
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# An old package index names files that the mirror no longer has: refresh it first.
apt-get -qq update || echo "deps: apt-get update failed; trying with the index that is there" >&2
# shellcheck disable=SC2086
apt-get -qq install -y --no-install-recommends $missing >/dev/null || {
	echo "deps: apt-get could not install$missing: look at the lines above, then run it by hand" >&2
	exit 1
}

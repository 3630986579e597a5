#!/bin/sh
# Installs the Debian packages of tools/deps.list that are missing, saying which and why.
# usage: tools/deps.sh up|test   (test includes up and unpacks the peers)
set -eu
want=${1:-test}
here=$(dirname "$0")
peers=$here/../build/peers
missing=
unpack=
installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
while read -r set package why; do
	case $set in '' | '#'*) continue ;; esac
	[ "$want" = up ] && [ "$set" != up ] && continue
	if [ "$set" = peer ]; then
		[ -e "$peers/.$package" ] || unpack="$unpack $package"
		continue
	fi
	# A|B: whichever name this release of Debian has.
	first=${package%%|*} other=${package##*|}
	installed "$first" || installed "$other" || {
		apt-cache show "$first" >/dev/null 2>&1 || first=$other
		echo "deps: $first is missing: $why"
		missing="$missing $first"
	}
done <"$here/deps.list"
[ -n "$missing$unpack" ] || exit 0
command -v apt-get >/dev/null || { echo "deps: this is not a Debian machine: install$missing$unpack by hand" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || { echo "deps: run as root, or install by hand: apt-get install$missing" >&2; exit 1; }
	echo "deps: installing$missing"
	# An old package index names files that the mirror no longer has: refresh it first.
	apt-get -qq update || echo "deps: apt-get update failed; trying with the index that is there" >&2
	# shellcheck disable=SC2086
	apt-get -qq install -y --no-install-recommends $missing >/dev/null || {
		echo "deps: apt-get could not install$missing: look at the lines above, then run it by hand" >&2
		exit 1
	}
fi
for package in $unpack; do
	echo "deps: unpacking $package into build/peers"
	mkdir -p "$peers/deb"
	peers=$(cd "$peers" && pwd)
	(cd "$peers/deb" && rm -f ./*.deb && { apt-get -qq -o APT::Sandbox::User=root download "$package" || { apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download "$package"; }; } && dpkg -x ./*.deb "$peers" && rm -f ./*.deb) || {
		echo "deps: apt-get could not download $package: the tests that need it will say so" >&2
		continue
	}
	touch "$peers/.$package"
done

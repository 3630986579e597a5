#!/bin/bash
# The long matrices, one item a line: minutes, name, command. With MINUTES=0 all of them run; else those that fit, in an
# order drawn from SEED, so that another commit tries others. Ends by naming what it left out.
# usage: tools/long.sh MINUTES SEED
set -uo pipefail
minutes=${1:-0} seed=${2:-1}
export SEED=$seed

items() {
	# every fuzz target, a minute each
	for dir in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u); do
		for f in $(grep -ho '^func Fuzz[A-Za-z0-9]*' "$dir"/*_test.go | cut -d' ' -f2); do
			echo "2 fuzz:$dir:$f go test ./$dir -run=^$ -fuzz=^$f\$ -fuzztime=60s -parallel=2"
		done
	done
	# the race detector over what runs goroutines without etcd or containerd
	echo "6 race:initd env CGO_ENABLED=1 go test -race -count=1 ./initd/... ./units/... ./boot/..."
	echo "5 race:provisioner env CGO_ENABLED=1 go test -race -count=1 ./provisioner/... ./api/..."
	echo "4 race:wire env CGO_ENABLED=1 go test -race -count=1 ./qemu-tests/wire/... ./qemu-tests/vm/... ./qemu-tests/rack/..."
	echo "5 race:router env CGO_ENABLED=1 go test -race -count=1 ./services/router/..."
	# other racks than the one of make test
	echo "7 rack:public env INGOT_LONG=1 go test -count=1 -v -timeout 15m ./qemu-tests/stories -run ^TestLongPublicAgent\$"
	echo "7 rack:power-cut env INGOT_LONG=1 go test -count=1 -v -timeout 15m ./qemu-tests/stories -run ^TestLongPowerCutAtRandom\$"
}

# A shuffle that is the same for the same seed.
plan=$(items | while read -r line; do printf '%s %s\n' "$(printf '%s %s' "$seed" "$line" | sha256sum | cut -c1-12)" "$line"; done | sort | cut -d' ' -f2-)
left=() failed=() ran=0 spent=0
start=$(date +%s)
while read -r cost name command; do
	spent=$((($(date +%s) - start) / 60))
	if [ "$minutes" != 0 ] && [ $((spent + cost)) -gt "$minutes" ]; then
		left+=("$name")
		continue
	fi
	echo "== $name ($spent min spent): $command"
	log=$(mktemp)
	if $command >"$log" 2>&1 </dev/null; then tail -n 3 "$log"; else
		failed+=("$name")
		tail -n 60 "$log"
	fi
	rm -f "$log"
	ran=$((ran + 1))
done <<<"$plan"
echo "== test-long: $ran ran, ${#failed[@]} failed, ${#left[@]} left out"
[ ${#left[@]} = 0 ] || printf 'left out: %s\n' "${left[@]}"
[ ${#failed[@]} = 0 ] || { printf 'failed: %s (SEED=%s)\n' "${failed[@]/%/}" "$seed"; exit 1; }

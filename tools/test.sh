#!/bin/bash
# Runs go test -v, prints a line a package and the whole output of those that fail, and ends with the list of skips
# and what each of them misses.
# usage: tools/test.sh [-v] FLAG... PACKAGE...   (-v first: print everything)
set -o pipefail
all=0
[ "${1:-}" = -v ] && { all=1; shift; }
go test -v "$@" 2>&1 | awk -v all="$all" '
	{ if (all) print; else kept[n++] = $0 }
	/_test\.go:[0-9]+: / { said = $0; sub(/^ */, "", said) }
	/^ *--- SKIP: / { skips[s++] = $3 ": " said }
	/^ *--- PASS: / && $3 !~ /\// { passed++ }
	/^ *--- FAIL: / && $3 !~ /\// { failed++ }
	/^(ok  |FAIL|\?   )\t/ {
		if (!all) { if (/^FAIL/) for (i = 0; i < n; i++) print kept[i]; else if (/^ok/) print }
		n = 0
	}
	END {
		if (!all) for (i = 0; i < n; i++) print kept[i]
		for (i = 0; i < s; i++) print "skipped " skips[i]
		printf "%d passed, %d failed, %d skipped\n", passed, failed, s
	}'

# Ingot: `make help` prints what there is.
export GOFLAGS := -trimpath -buildvcs=false
export CGO_ENABLED := 0
# Programs of others that the tests drive, unpacked by tools/deps.sh, not installed.
export PATH := $(CURDIR)/build/peers/usr/sbin:$(PATH):/usr/sbin:/sbin

RACK    ?= m1:master a1:agent a2:agent
MINUTES ?= 0
SEED    ?= 1
TOOL    := go tool -modfile=tools/go.mod
# What needs a virtual machine; everything else runs without one.
STORIES := ./qemu-tests/stories

.PHONY: help up down deps image check test test-unit test-stories test-long bench-boot lock

help: ## print this
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Seconds between two moments of `date +%s.%N`.
since = $$(echo "$$$(1) $$$(2)" | awk '{printf "%.1f", $$2 - $$1}')
# Every module that the programs of the image are made of, and no other.
fetch = go list -deps ./cmd/... tool >/dev/null

up: ## build everything, power on a rack of virtual machines, serve an app (RACK='m1:master a1:agent …')
	@t0=$$(date +%s.%N) && tools/deps.sh up && t1=$$(date +%s.%N) && \
	echo "fetching Go modules, compiling build/ingot" && $(fetch) && t2=$$(date +%s.%N) && \
	mkdir -p build && go build -o build/ingot ./cmd/ingot && t3=$$(date +%s.%N) && \
	INGOT_DEPS_SECONDS=$(call since,t0,t1) INGOT_DOWNLOAD_SECONDS=$(call since,t1,t2) INGOT_COMPILE_SECONDS=$(call since,t2,t3) \
		build/ingot up --rack '$(RACK)'

down: ## remove every process, namespace, tap and file that `make up` made
	@if [ -x build/ingot ]; then build/ingot down; else echo "nothing is up: there is no build/ingot"; fi

deps: ## install the Debian packages of tools/deps.list that are missing
	@tools/deps.sh test

image: ## build the image: programs, root, initrd, UKI, container images
	@tools/deps.sh up
	@mkdir -p build && go build -o build/ingot ./cmd/ingot
	@build/ingot image build --out build/image

lock: ## move image/lock.json to Debian's newest packages
	@mkdir -p build && go build -o build/ingot ./cmd/ingot
	@build/ingot image lock

check: ## vet, gofumpt, staticcheck, dead code, layers, package docs
	@tools/deps.sh up
	go vet ./...
	@out=$$($(TOOL) gofumpt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not gofumpt'd:"; echo "$$out"; exit 1; }
	$(TOOL) staticcheck ./...
	@out=$$($(TOOL) deadcode -test ./...); [ -z "$$out" ] || { echo "dead code:"; echo "$$out"; exit 1; }
	go test -count=1 .

test: deps test-unit test-stories ## prove it: units, real peers, then stories on virtual machines

test-unit: deps ## everything that needs no virtual machine
	@tools/test.sh -timeout 10m $$(go list ./... | grep -v -F '/qemu-tests/stories')

test-stories: image ## stories on virtual machines
	@tools/test.sh -v -count=1 -timeout 20m $(STORIES)

test-long: image ## the long matrices, a sample of them with MINUTES=35 SEED=commit
	@tools/long.sh '$(MINUTES)' '$(SEED)'

bench-boot: image ## power-on to init on an idle machine, BIOS and UEFI
	@build/ingot rack bench

# The targets that a person uses are listed by `make help`. Everything that is built lies below build/.

SHELL         := /bin/bash -o pipefail
.DEFAULT_GOAL := help

# The Debian suite that Docker and the programs around it are taken from.
DEBIAN_SUITE ?= trixie
# Docker's own static archive (docker-VERSION.tgz), instead of Debian's packages of it.
DOCKER_TGZ   ?=
# 0 leaves git and ssh out of the root tree.
WITH_GIT     ?= 1
# 1 lets what runs under `make run` reach what this machine reaches (docker pull), by rules on the host while it runs.
NAT          ?= 0
# The kernel of the machine that `make vm` boots (6.1, 6.12, 6.12-full or sid), the port on this host that leads to its Docker, and
# what is added to its kernel command line.
VM_KERNEL    ?= 6.12
VM_PORT      ?= 2376
VM_CMDLINE   ?=
# How long each fuzz test runs under `make test`.
FUZZTIME     ?= 2s
# make soak: how many power cuts.
N            ?= 20
# make bench: the benchmarks that this matches (BENCHMARK or BENCHMARK/VARIANT, regular expressions), rounds in place of their
# own numbers, and other entrypoints to compare ([NAME=][VARIABLE=VALUE...] PATH [ARG...], several with commas between).
ONLY         ?=
RUNS         ?=
PEER         ?=
# The largest launcher that is accepted, in bytes.
SIZE_BUDGET  := $(shell echo $$((6 * 1024 * 1024)))
# The most that the minimal image may have beside the launcher and Docker's own programs, in bytes.
REST_BUDGET  := $(shell echo $$((20 * 1024 * 1024)))

VERSION := 0.1.0
# Twelve digits always: how short git abbreviates depends on how much a clone holds, and the version is part of the bytes.
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null | cut -c1-12)
DIRTY   := $(shell git status --porcelain 2>/dev/null | grep -q . && echo -dirty)
STAMP   := $(VERSION)$(if $(COMMIT),+$(COMMIT)$(DIRTY))
# What an image says of itself: the commit, and its time as the image's.
REVISION := $(shell git rev-parse HEAD 2>/dev/null)
CREATED  := $(or $(shell git log -1 --format=%ct 2>/dev/null),0)
comma    := ,

# Settings of the person or the machine that would change the bytes are put aside.
# Without the assembler for elliptic curves, and with inlining only where a start is worth it, the launcher is 5 percent smaller
# than with all of it. Inlined are the standard library, but for what is large or grows by it, modules for the sake of modprobe,
# and bootline, whose errors need nobody to make them then. That costs 70 KB, and saves 5 to 10 percent of the processor time of
# `modprobe -D`; all of it would cost 300 KB more, and save 3 percent more. Command line, DHCP messages and SHA-2 are left to pflag,
# insomniacslk/dhcp and Go's own: code of ours in their place would save 240 KB, and is not what this program is about.
# Of the patterns that match a package the last counts.
# The garbage collector is the one that Go had before 1.26, for which there is a setting up to 1.26: it is 45 KB smaller, touches less
# memory in a program that collects next to nothing, and is no slower in `make bench`.
INLINE   := all=-l std= $(addsuffix =-l,bufio bytes compress/flate compress/gzip context encoding/binary encoding/json flag fmt internal/godebug internal/poll internal/runtime/maps internal/sync io io/fs log net/netip reflect slices sort \
  strings sync syscall time unicode unicode/utf8) \
  $(addprefix github.com/dockerlaunch/dockerlaunch/,modules= launch/bootline=)
GO_BUILD := env -u GOFLAGS GOEXPERIMENT=nogreenteagc CGO_ENABLED=0 GOAMD64=v1 go build -trimpath -buildvcs=false -tags purego $(addprefix -gcflags=,$(INLINE)) -ldflags '-s -w -buildid= -X main.version=$(STAMP)'

$(if $(filter 0 1,$(WITH_GIT)),,$(error WITH_GIT is 0 or 1, and not "$(WITH_GIT)"))
$(if $(filter 0 1,$(NAT)),,$(error NAT is 0 or 1, and not "$(NAT)"))
$(if $(DEBIAN_SUITE),,$(error DEBIAN_SUITE is empty: it is bookworm, trixie or sid))

ROOTFS   := build/rootfs
PACKAGES := build/packages/$(DEBIAN_SUITE)
ROOTFS_FLAGS := $(if $(filter 0,$(WITH_GIT)),--without-git) $(if $(DOCKER_TGZ),--docker-tgz '$(DOCKER_TGZ)')

.PHONY: help
help: ## list the targets
	@echo 'make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'with DEBIAN_SUITE=$(DEBIAN_SUITE) DOCKER_TGZ=$(DOCKER_TGZ) WITH_GIT=$(WITH_GIT) NAT=$(NAT) FUZZTIME=$(FUZZTIME) VM_KERNEL=$(VM_KERNEL) VM_PORT=$(VM_PORT)'

.PHONY: build
build: ## build/dockerlaunch, the static launcher, checked against its size budget
	@mkdir -p build
	$(GO_BUILD) -o build/dockerlaunch.linked ./cmd/dockerlaunch
# The linker writes page by page through a mapping, and in such pages the kernel keeps the file: each start of it takes a fifth more
# processor time than one of a file that was copied or read from a disk, as every installed one is. What is measured is such a one.
	@cp build/dockerlaunch.linked build/dockerlaunch.copied
	@mv build/dockerlaunch.copied build/dockerlaunch && rm build/dockerlaunch.linked
	@scripts/check-binary build/dockerlaunch $(SIZE_BUDGET)

build/hello: $(wildcard cmd/hello/*.go) go.mod
	@mkdir -p build
	$(GO_BUILD) -o $@ ./cmd/hello

.PHONY: packages
packages:
	@scripts/install-tools rootfs
	@mkdir -p build/bin
	go build -o build/bin/mkimage ./cmd/mkimage
	scripts/fetch-packages --suite $(DEBIAN_SUITE) --dest $(PACKAGES) $$(build/bin/mkimage packages --suite $(DEBIAN_SUITE) $(ROOTFS_FLAGS))

.PHONY: rootfs
rootfs: build packages ## build/rootfs, a root tree with what Docker needs and nothing else
	build/bin/mkimage rootfs --packages $(PACKAGES) --launcher build/dockerlaunch --out $(ROOTFS) $(ROOTFS_FLAGS)

.PHONY: image
image: build packages ## build/image.tar for docker load, build/oci, an SBOM, and the same without git: image-minimal.tar
	build/bin/mkimage image --packages $(PACKAGES) --launcher build/dockerlaunch --out build --rest-budget $(REST_BUDGET) \
	  --variants $(if $(filter 0,$(WITH_GIT)),minimal,full$(comma)minimal) $(if $(DOCKER_TGZ),--docker-tgz '$(DOCKER_TGZ)') \
	  --version '$(STAMP)' --revision '$(REVISION)' --created '$(CREATED)'

# A machine's root tree has the modules of one kernel in it.
INITRAMFS = build/bin/mkimage initramfs --packages $(PACKAGES) --launcher build/dockerlaunch --out build/initramfs.img $(ROOTFS_FLAGS) \
  --kmod build/vm/kmod --kernel build/vm/kernel-$(VM_KERNEL)

.PHONY: initramfs
initramfs: build packages
	scripts/fetch-qemu kmod kernel-$(VM_KERNEL)
	$(INITRAMFS)

.PHONY: vm
vm: initramfs ## boot a machine in QEMU whose init is the launcher, with Docker on port VM_PORT; see scripts/vm
	scripts/fetch-qemu qemu
	@VM_KERNEL='$(VM_KERNEL)' VM_PORT='$(VM_PORT)' scripts/vm $(VM_CMDLINE)

.PHONY: run
run: rootfs build/hello ## start Docker in namespaces of its own, run a container in it, and stay until Ctrl-C
	go build -o build/bin/sandbox ./cmd/sandbox
	@build/bin/sandbox --root $(ROOTFS) --launcher build/dockerlaunch --hello build/hello --state build/run $(if $(filter 1,$(NAT)),--nat)

# Compose, which the tests have read the example that is for it.
build/compose/docker-compose:
	scripts/fetch-packages --suite trixie --dest build/packages/compose --no-deps docker-compose
	mkdir -p build/compose
	dpkg-deb -x build/packages/compose/docker-compose_*.deb build/compose/tree
	ln -sf tree/usr/libexec/docker/cli-plugins/docker-compose $@

# The minimal image with another Docker, which the tests start inside of trixie's: Docker 20.10 out of bookworm, and the newest
# that Debian has out of sid. DEBIAN_SUITE=... make image builds the same as anybody's image.
.PHONY: other-dockers
other-dockers: $(addprefix build/other/,bookworm sid)

.PHONY: build/other/bookworm build/other/sid
build/other/bookworm build/other/sid: build packages
	scripts/fetch-packages --suite $(@F) --dest build/packages/$(@F) $$(build/bin/mkimage packages --suite $(@F) --without-git)
	mkdir -p $@
	build/bin/mkimage image --packages build/packages/$(@F) --launcher build/dockerlaunch --out $@ --variants minimal \
	  --version '$(STAMP)' --revision '$(REVISION)' --created '$(CREATED)'

.PHONY: test
# What the tests boot.
test: VM_KERNEL := 6.12
test: rootfs image build/hello ## every layer of tests that this machine can run; under CI=true all of them must
	@scripts/install-tools test
# Without a network, or on another architecture, the other layers are still worth running: the machine tests say in the last
# lines that they did not run. Under CI=true nothing may be left out.
	scripts/fetch-qemu || { [ '$(CI)' != true ] && echo 'the machine tests lack something, for the reason above'; }
	@$(MAKE) -s other-dockers || [ '$(CI)' != true ]
	@scripts/make-debian build/debian.tar || [ '$(CI)' != true ]
	@$(MAKE) -s build/compose/docker-compose || [ '$(CI)' != true ]
	[ ! -e build/vm/kernel-$(VM_KERNEL) ] || $(INITRAMFS)
	@FUZZTIME=$(FUZZTIME) scripts/test

.PHONY: soak
# What is needed is made by the parts of `make test`; SOAK_SEED repeats the choices of a run that failed.
soak: VM_KERNEL := 6.12
soak: initramfs ## cut a machine's power N times while containers write, and look for all that was safe (N=, SOAK_SEED=)
	@scripts/install-tools test
	scripts/fetch-qemu qemu
	SOAK_CUTS='$(N)' go test -count=1 -timeout 0 -v -run '^TestPowerCuts$$' ./internal/soak | grep -v '^  vm|'

# An older Docker, for the same measurements.
build/bench/bookworm: build packages
	scripts/fetch-packages --suite $(@F) --dest build/packages/$(@F) $$(build/bin/mkimage packages --suite $(@F) --without-git)
	build/bin/mkimage rootfs --packages build/packages/$(@F) --launcher build/dockerlaunch --out $@ --without-git >/dev/null
.PHONY: build/bench/bookworm

.PHONY: bench
bench: rootfs ## paired measurements against bare dockerd, kmod, busybox and PEER=PATH, into build/bench.json (ONLY=, RUNS=)
# What cannot be had, as on a machine without a network, is left out, and named.
	@$(MAKE) -s build/bench/bookworm || true
	scripts/fetch-qemu qemu kmod busybox kernel-6.12 kernel-6.12-full || true
	CGO_ENABLED=0 go build -o build/bin/bench ./cmd/bench
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o build/bin/bench-probe ./internal/bench/boot/probe
	@build/bin/bench --also build/bench/bookworm $(if $(ONLY),--only '$(ONLY)') $(if $(RUNS),--runs '$(RUNS)') $(if $(PEER),--peer '$(PEER)')

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, govulncheck, shellcheck
	@scripts/install-tools lint
	@scripts/lint

.PHONY: clean
clean: ## remove build/
	rm -rf build

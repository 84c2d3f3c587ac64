# The front door. Each target installs what it misses (scripts/setup says which and why), asks nothing, and leaves
# everything it makes in build/. The build itself is described by meson.build.

PREFIX  ?= /usr/local
DESTDIR ?=
# What `make run` gives to `weft serve`: make run ARGS='--listen 127.0.0.1:9000 /srv/www'
ARGS    ?=
# What `make test` builds and runs, see scripts/test: make test CONFIGS='gcc tsan'
CONFIGS ?=
# How long `make soak` goes on, building not counted: make soak SOAK_MINUTES=480 CONFIGS='gcc tsan'
SOAK_MINUTES ?= 120
# Benchmarks to run (all): make bench NAME=yield
NAME    ?=
# The row to judge: make bench-verdict ROW=spawn; `python3 bench/house list` says what there is
ROW     ?=
# How long a campaign may take, without it as long as it takes: make bench-campaign MINUTES=50
MINUTES ?=
# make bench-check UPDATE=1: what is counted now is the new baseline
UPDATE  ?=

RELEASE := build/release
WEFT    := $(RELEASE)/programs/weft/weft

BENCH_BUILD := --buildtype=release -Ddebug=true -Dtests=false -Dbench=true

.PHONY: help build run test test-quick soak bench bench-quick bench-verdict bench-campaign bench-table bench-check bench-build install clean

help:
	@echo 'make run         build weft and start `weft serve` (ARGS= for its options)'
	@echo 'make build       build library and programs into $(RELEASE)'
	@echo 'make test        build and test all configurations (CONFIGS="gcc asan" for some)'
	@echo 'make test-quick  build and test the plain gcc configuration'
	@echo 'make soak        the long runs (SOAK_MINUTES= for all of them; default 120)'
	@echo 'make bench       the benchmarks (NAME= for one), about 30 min; make bench-quick: the short ones, 2 min'
	@echo 'make bench-verdict ROW=  judges one row; make bench-campaign: all of them, for 2.5 h or MINUTES='
	@echo 'make bench-table what was judged, into docs/benchmarks.md; make bench-check: instructions, system calls, bytes'
	@echo 'make install     install below PREFIX=$(PREFIX) (DESTDIR= to stage)'
	@echo 'make clean       remove build/'

build:
	@scripts/setup build
	@scripts/configure $(RELEASE) --buildtype=release -Ddebug=true -Dtests=false
	@ninja -C $(RELEASE)

run: build
	@exec $(WEFT) serve $(ARGS)

test:
	@scripts/setup build test
	@scripts/test $(CONFIGS)

test-quick:
	@scripts/setup build test
	@scripts/test gcc

soak:
	@scripts/setup build test
	@SOAK_MINUTES='$(SOAK_MINUTES)' scripts/test --soak $(CONFIGS)

bench-build:
	@scripts/configure build/bench $(BENCH_BUILD)
	@ninja -C build/bench

bench bench-quick:
	@scripts/setup build bench peers
	@$(MAKE) --no-print-directory bench-build
	@python3 bench/house show $(if $(filter bench-quick,$@),--quick) $(NAME)

# All rows when none is named. Interrupted, the same command goes on where it was.
bench-verdict bench-campaign:
	@scripts/setup build bench peers
	@$(MAKE) --no-print-directory bench-build
	@python3 bench/house verdict $(if $(MINUTES),--minutes $(MINUTES)) $(if $(filter bench-verdict,$@),$(ROW))

bench-table:
	@python3 bench/house table

bench-check:
	@scripts/setup build bench
	@scripts/configure build/bench $(BENCH_BUILD)
	@ninja -C build/bench bench-counted programs/weft/weft
	@python3 bench/house check $(if $(UPDATE),--update)

# The prefix is written into weft.pc, so it is configured, not only copied to. Libraries go to lib/, where every
# pkg-config and loader looks below its prefix, whatever the distribution's own folder for them is called.
install:
	@scripts/setup build
	@scripts/configure $(RELEASE) --buildtype=release -Ddebug=true -Dtests=false
	@meson configure $(RELEASE) -Dprefix='$(abspath $(PREFIX))' -Dlibdir=lib
	@ninja -C $(RELEASE)
	@DESTDIR='$(DESTDIR)' meson install -C $(RELEASE) --no-rebuild
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

clean:
	rm -rf build

# hakmem: builds the allocator and the tools' environment, shows them, tests them.
#
# `make help` lists the targets. Data goes to stdout, progress to stderr, so that
# `make demo HEADLESS=1 | jq .` works. V=1 shows the commands.

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.SECONDARY:
BUILD := build
MAKEFLAGS += --no-print-directory --no-builtin-rules
ifeq ($(MAKELEVEL),0) # a make below shares its parent's jobs
MAKEFLAGS += -j$(shell nproc)
endif

CC  := gcc
CXX := g++
VERSION := $(shell cat VERSION)

# ---- How the library is compiled: the one place -----------------------------------------------
# Initial-exec TLS: the library is loaded at start, so a thread-local is one fs-relative load.
# No builtin malloc: gcc would turn our calloc's malloc + memset into a call of calloc.
OPT      := -O2 -g -fno-omit-frame-pointer
WARNINGS := -Wall -Wextra -Werror
DIALECT  := -std=gnu11 -fvisibility=hidden -ftls-model=initial-exec -fno-plt \
            -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free
CPPFLAGS := -Ilib/include -Ilib -DHAK_VERSION='"$(VERSION)"'
LDLIBS   := -pthread -ldl
# What lies with what in the library, and why: lib/layout.ld.
LAYOUT   := lib/layout.ld
LDFLAGS  := -shared -Wl,-soname,libhakmem.so -Wl,--no-undefined -Wl,-z,relro,-z,now,-z,nodelete \
            -Wl,-T,$(LAYOUT),-z,pack-relative-relocs

# ---- Variants: the same sources, other flags ---------------------------------------------------
# The C tests are linked with everything but the C++ operators, and under names that do not replace
# libc's (tests/c/names.syms), so that a sanitizer or a debugger keeps its own malloc.
FLAGS_so      := $(OPT) -fPIC -ffunction-sections -fdata-sections
FLAGS_minimal := $(FLAGS_so) -DHAK_BENCH_MINIMAL=1
FLAGS_nolearn := $(FLAGS_so) -DHAK_WITHOUT_LEARNING
FLAGS_test    := $(OPT)
SANITIZE      := -O1 -g -fno-omit-frame-pointer
FLAGS_asan    := $(SANITIZE) -fsanitize=address
# gcc asks the flags of the add that makes a TLS address whether it is NULL, and the linker turns that
# add into a lea, which sets none. A NULL that is followed ends the test all the same.
FLAGS_ubsan   := $(SANITIZE) -fsanitize=undefined -fno-sanitize=null -fno-sanitize-recover=all
FLAGS_tsan    := $(SANITIZE) -fsanitize=thread -Wno-tsan # it does not see fences: a seqlock needs a suppression
SANITIZERS    := asan ubsan tsan

LIB_SOURCES   := $(wildcard lib/*/*.c)
TEST_LIB      := $(filter-out lib/front/cxx.c,$(LIB_SOURCES))
TEST_NAMES    := tests/c/names.syms
C_TESTS       := $(basename $(notdir $(wildcard tests/c/test_*.c)))
C_FILES       := $(wildcard lib/*/*.c lib/*/*.h tests/*/*.c tests/*/*.h bench/*.c bench/*/*.c bench/*/*.h)

Q = $(if $(V),,@)
step = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)' >&2)

.PHONY: help build demo test test-c test-py lint format trust bench learning-cost reference clean \
        install-deps ground FORCE

help:
	@printf '%s\n' \
	  'make build        build/libhakmem.so and .venv/bin/hakmem (BENCH_MINIMAL=1: also build/minimal/)' \
	  'make demo         a real server under libhakmem, with hakmem-top on it (HEADLESS=1: five JSON lines)' \
	  'make test         everything: test-c, then test-py' \
	  'make trust        the C tests under three sanitizers, and 200 profiles against known truths' \
	  'make lint         ruff, mypy, import contracts, line lengths in C (make format: apply)' \
	  'make bench        the scenarios against the peers' \
  'make learning-cost  FROZEN and LEARN against learning compiled out, on a quiet machine' \
  'make reference    docs/reference anew, from the tables in the library' \
	  'make install-deps every package and the environment, nothing else' \
	  'make clean        remove build/'

# ---- The ground: packages and .venv, installed only where they are missing ----------------------
# One call for the richest group that any goal needs.
needs = $(filter $(1),$(MAKECMDGOALS))
GROUP := $(or $(and $(call needs,test test-c test-py trust build/test/% build/asan/% build/ubsan/% build/tsan/%),test),\
              $(and $(call needs,bench learning-cost),bench),$(and $(call needs,demo),demo),\
              $(and $(call needs,lint format),lint),build)

# Only these two read HAKMEM_GROUND: a program under libhakmem would be told that it is no knob.
unexport HAKMEM_GROUND
GROUND_HOW := $(if $(HAKMEM_GROUND),HAKMEM_GROUND=$(HAKMEM_GROUND))

ground:
	@$(GROUND_HOW) scripts/ensure-ground $(GROUP)

install-deps:
	@$(GROUND_HOW) scripts/ensure-ground test

# ---- Compile -------------------------------------------------------------------------------------
COMPILE = $(CC) $(DIALECT) $(WARNINGS) $(CPPFLAGS) $(FLAGS_$(1))
quoted  = '$(subst ','\'',$(1))'

# Objects depend on the text of their command: another compiler, version or flag builds anew.
# $(1) variant  $(2) its sources  $(3) a file of symbols to rename, or nothing
define variant
OBJECTS_$(1) := $(2:%.c=build/obj/$(1)/%.o)

build/obj/$(1)/command: FORCE
	@mkdir -p $$(@D)
	@printf '%s\n' $(call quoted,$(COMPILE)) | cmp -s - $$@ || \
	  printf '%s\n' $(call quoted,$(COMPILE)) >$$@

build/obj/$(1)/%.o: %.c build/obj/$(1)/command $(3) | ground
	$$(call step,CC,$$< ($(1)))
	@mkdir -p $$(@D)
	$$(Q)$(COMPILE) -MMD -MP -c -o $$@ $$<
	$(if $(3),$$(Q)objcopy --redefine-syms=$(3) $$@)

-include $$(OBJECTS_$(1):.o=.d)
endef

# One program per tests/c/test_*.c, linked with the variant's objects.
define c_tests
build/$(1)/%: tests/c/%.c $$(OBJECTS_$(1)) | ground
	$$(call step,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$(COMPILE) -Itests/c -MMD -MP -MF $$@.d -o $$@ $$< $$(OBJECTS_$(1)) $(LDLIBS) -lm

-include $(C_TESTS:%=build/$(1)/%.d)
endef

$(foreach v,so minimal nolearn,$(eval $(call variant,$(v),$(LIB_SOURCES))))
$(foreach v,test $(SANITIZERS),$(eval $(call variant,$(v),$(TEST_LIB),$(TEST_NAMES)))$(eval $(call c_tests,$(v))))

build/libhakmem.so: $(OBJECTS_so)
build/minimal/libhakmem.so: $(OBJECTS_minimal)
build/nolearn/libhakmem.so: $(OBJECTS_nolearn)
build/libhakmem.so build/minimal/libhakmem.so build/nolearn/libhakmem.so: $(LAYOUT) | ground
	@test -n '$(filter %.o,$^)' || { echo 'make: lib/ holds no C sources' >&2; exit 1; }
	$(call step,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LDLIBS)

build: ground build/libhakmem.so $(if $(BENCH_MINIMAL),build/minimal/libhakmem.so)

# `workloads`: one program from each bench/workloads/*.c, in build/bench/.
-include bench/workloads.mk
WORKLOADS ?=
$(WORKLOADS): | ground

# ---- Show -----------------------------------------------------------------------------------------
demo: ground build
	@scripts/demo $(if $(HEADLESS),--headless)

bench: ground build build/minimal/libhakmem.so $(WORKLOADS)
	@.venv/bin/hakmem bench $(ARGS)

# What learning costs (decision 004): it needs a quiet machine. ARGS='--rounds 5 --rows json'
learning-cost: ground build build/nolearn/libhakmem.so $(WORKLOADS)
	@.venv/bin/python bench/learning_cost.py $(ARGS)

# ---- Test -----------------------------------------------------------------------------------------
# As many at a time as there are processors, four at most; tests/conftest.py keeps those together
# that must not meet. ARGS='-n 0 tests/...' runs them in one process.
JOBS   ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))
PYTEST := .venv/bin/python -m pytest -n $(JOBS) --dist loadgroup
# Both halves always run, whatever the first one says; pytest's summary comes last.
test: build $(WORKLOADS)
	@status=0; \
	$(MAKE) test-c || status=1; \
	$(PYTEST) $(ARGS) || status=1; \
	exit $$status

test-c: $(C_TESTS:%=build/test/%)
	@scripts/run-c-tests build/test $(C_TESTS)

test-py: build ground $(WORKLOADS)
	@$(PYTEST) $(ARGS)

trust: build ground $(foreach s,$(SANITIZERS),$(C_TESTS:%=build/$(s)/%))
	@status=0; for s in $(SANITIZERS); do scripts/run-c-tests build/$$s $(C_TESTS) || status=1; done; \
	.venv/bin/python -m bench.trust.accuracy || status=1; \
	exit $$status

lint: ground
	@status=0; \
	.venv/bin/ruff check . || status=1; \
	.venv/bin/ruff format --check . || status=1; \
	.venv/bin/mypy || status=1; \
	.venv/bin/lint-imports || status=1; \
	! grep -nP '\t|\s$$|^.{101,}' $(C_FILES) /dev/null || { echo 'above: tab, trailing blank or over 100 columns' >&2; status=1; }; \
	exit $$status

format: ground
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

reference: ground build
	@.venv/bin/python -m hakmem_tools.native.reference

clean:
	rm -rf build

# The workloads of `hakmem bench`: one program from each bench/workloads/*.c, in build/bench/.
# Included by the main Makefile; `make -f bench/workloads.mk` works by itself too.
#
# The allocation functions are no builtins here: a compiler that knows them may drop a malloc with
# its free, and there would be nothing to measure. The flags do not follow those of the library, so
# that the same programs run whatever the library is built with.

BUILD ?= build
WORKLOAD_CC ?= $(CC)
WORKLOAD_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Werror -pthread \
	-fno-builtin-malloc -fno-builtin-free -fno-builtin-calloc -fno-builtin-realloc
WORKLOAD_SOURCES := $(wildcard bench/workloads/*.c)
WORKLOADS := $(WORKLOAD_SOURCES:bench/workloads/%.c=$(BUILD)/bench/%)

FLOOR := $(BUILD)/bench/libfloor.so

.PHONY: workloads
workloads: $(WORKLOADS) $(FLOOR)

$(FLOOR): bench/floor.c bench/workloads.mk
	@mkdir -p $(@D)
	$(WORKLOAD_CC) -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Werror -fno-builtin -fPIC -shared \
		-ftls-model=initial-exec -o $@ $<

$(WORKLOADS): $(BUILD)/bench/%: bench/workloads/%.c bench/workloads/workload.h bench/workloads.mk
	@mkdir -p $(@D)
	$(WORKLOAD_CC) $(WORKLOAD_CFLAGS) -o $@ $<

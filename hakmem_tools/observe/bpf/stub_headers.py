"""A tree of small headers that stands in for the kernel's own when bcc compiles.

bcc wants the running kernel's headers, which many machines do not carry. Its own prelude,
which carries all of the BPF interface, takes only a few names from them: integer types, the
page size, the registers that a probe sees. This module writes those names down, into a cache
directory that only its user may enter, and that a version of the texts shares.

Used by the loader. Reads no kernel header, needs no network and runs no command.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import platformdirs

#: Real headers, or another stub tree, can be named here: bcc's own variable.
KERNEL_SOURCE = "BCC_KERNEL_SOURCE"

_TYPES = """
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __s8 int8_t;
typedef __s16 int16_t;
typedef __s32 int32_t;
typedef __s64 int64_t;
typedef __u64 __aligned_u64 __attribute__((aligned(8)));
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __le16;
typedef __u32 __le32;
typedef __u64 __le64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef unsigned long uintptr_t;
typedef unsigned long size_t;
typedef long ssize_t;
typedef int pid_t;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define __always_inline inline __attribute__((always_inline))
"""

# What an instruction carries; the numbers are BPF's machine code.
_INSTRUCTIONS = "\n".join(
    f"#define {name} {value:#04x}"
    for name, value in {
        "BPF_LD": 0x00,
        "BPF_LDX": 0x01,
        "BPF_ST": 0x02,
        "BPF_STX": 0x03,
        "BPF_ALU": 0x04,
        "BPF_JMP": 0x05,
        "BPF_RET": 0x06,
        "BPF_MISC": 0x07,
        "BPF_W": 0x00,
        "BPF_H": 0x08,
        "BPF_B": 0x10,
        "BPF_IMM": 0x00,
        "BPF_ABS": 0x20,
        "BPF_IND": 0x40,
        "BPF_MEM": 0x60,
        "BPF_ADD": 0x00,
        "BPF_SUB": 0x10,
        "BPF_MUL": 0x20,
        "BPF_DIV": 0x30,
        "BPF_OR": 0x40,
        "BPF_AND": 0x50,
        "BPF_LSH": 0x60,
        "BPF_RSH": 0x70,
        "BPF_NEG": 0x80,
        "BPF_MOD": 0x90,
        "BPF_XOR": 0xA0,
        "BPF_JA": 0x00,
        "BPF_JEQ": 0x10,
        "BPF_JGT": 0x20,
        "BPF_JGE": 0x30,
        "BPF_JSET": 0x40,
        "BPF_K": 0x00,
        "BPF_X": 0x08,
    }.items()
)

# A constant expression, since bcc sizes maps with it: the next power of two, by halves.
_LOG2 = """
#define HAK_SPREAD1(n) ((n) | (n) >> 1)
#define HAK_SPREAD2(n) (HAK_SPREAD1(n) | HAK_SPREAD1(n) >> 2)
#define HAK_SPREAD4(n) (HAK_SPREAD2(n) | HAK_SPREAD2(n) >> 4)
#define HAK_SPREAD8(n) (HAK_SPREAD4(n) | HAK_SPREAD4(n) >> 8)
#define HAK_SPREAD16(n) (HAK_SPREAD8(n) | HAK_SPREAD8(n) >> 16)
#define roundup_pow_of_two(n) ((n) < 2 ? 1UL : HAK_SPREAD16((unsigned long)(n) - 1) + 1)
"""

# The order in which the kernel saves the registers of x86-64.
_REGISTERS = "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss"

_PTRACE = (
    "struct pt_regs {\n"
    + "".join(f"    unsigned long {name};\n" for name in _REGISTERS.split())
    + "};\n"
)

_PAGE = """
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
"""

# bcc compares it to learn what a kernel can do; all that we use is younger than 5.8.
_VERSION = """
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 6, 0)
"""

_PERF_EVENT = """
#include <linux/types.h>
#include <uapi/linux/ptrace.h>
typedef struct pt_regs bpf_user_pt_regs_t;
struct bpf_perf_event_data {
    bpf_user_pt_regs_t regs;
    __u64 sample_period;
    __u64 addr;
};
"""

#: Path below `include/` -> text.
HEADERS: dict[str, str] = {
    "linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n",
    "linux/types.h": _TYPES,
    "linux/bpf_common.h": _INSTRUCTIONS + "\n",
    "linux/version.h": _VERSION,
    "linux/log2.h": _LOG2,
    "linux/sched.h": "#include <linux/types.h>\n#define TASK_COMM_LEN 16\nstruct task_struct;\n",
    "linux/ptrace.h": "#include <uapi/linux/ptrace.h>\n",
    "asm/page.h": _PAGE,
    "uapi/linux/bpf.h": "#include <linux/types.h>\n",
    "uapi/linux/bpf_perf_event.h": _PERF_EVENT,
    "uapi/linux/if_packet.h": "#include <linux/types.h>\n",
    "uapi/linux/if_ether.h": "#include <linux/types.h>\n",
    "uapi/linux/ptrace.h": _PTRACE,
}


def header_text(name: str) -> str:
    """One header as it is written: guarded, with a first line that says what it is."""
    return (
        "/* Stands in for a kernel header; written by hakmem, safe to delete. */\n"
        f"#pragma once\n{HEADERS[name].lstrip()}"
    )


def stub_tree(cache: Path | None = None) -> Path:
    """The directory to hand to bcc as kernel source, written if it is not there yet.

    The name carries a hash of the texts, so that two versions of hakmem do not meet in it.
    Raises OSError when no private directory can be made.
    """
    root = _private(cache if cache is not None else platformdirs.user_cache_path("hakmem"))
    texts = {name: header_text(name) for name in HEADERS}
    digest = hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:16]
    tree = root / f"kernel-headers-{digest}"
    if not _is_complete(tree, texts):
        _write_tree(root, tree, texts)
    return tree


def _private(directory: Path) -> Path:
    """The directory, ours alone (mode 0700): what the compiler reads nobody else may write."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.stat()
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to user {status.st_uid}, not to us")
    if status.st_mode & 0o077:
        directory.chmod(0o700)
    return directory


def _is_complete(tree: Path, texts: dict[str, str]) -> bool:
    """Whether every header is there and unchanged; a dozen small reads."""
    try:
        return all((tree / "include" / name).read_text() == text for name, text in texts.items())
    except OSError:
        return False


def _write_tree(root: Path, tree: Path, texts: dict[str, str]) -> None:
    """Writes beside and renames, so that another process never compiles with half a tree."""
    if tree.exists():  # damaged: mend it in place, each file by itself
        for name, text in texts.items():
            _write_file(tree / "include" / name, text)
        return
    with tempfile.TemporaryDirectory(dir=root, ignore_cleanup_errors=True) as scratch:
        fresh = Path(scratch) / "tree"
        for name, text in texts.items():
            _write_file(fresh / "include" / name, text)
        try:
            fresh.rename(tree)
        except OSError:
            if not tree.is_dir():
                raise  # otherwise somebody else was faster, with the same texts


def _write_file(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)

"""Compiles and loads BPF programs through bcc; the only importer of bcc.

Preflight first (is it allowed, is bcc there), so that each failure is one clear line instead
of a compiler's output. Used by the attacher and the source; knows nothing of probes.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from hakmem_tools.observe.bpf.privilege import check_privilege
from hakmem_tools.observe.bpf.ring import RingReader
from hakmem_tools.observe.bpf.stub_headers import KERNEL_SOURCE, stub_tree
from hakmem_tools.observe.source import SourceUnavailable

#: Where Debian's python3-bpfcc puts bcc; an interpreter of another origin does not look there.
_DEBIAN_PACKAGE = Path("/usr/lib/python3/dist-packages/bcc/__init__.py")
_KPROBE = 2  # BPF_PROG_TYPE_KPROBE: of every program on a uprobe
_RAW_TRACEPOINT = 17
_compiling = threading.Lock()  # bcc changes the process's directory and reads its environment


def import_bcc() -> ModuleType:
    """The bcc module. Raises SourceUnavailable, saying what to install."""
    try:
        return _usable(importlib.import_module("bcc"))
    except ImportError as error:
        if not _DEBIAN_PACKAGE.is_file():
            raise SourceUnavailable(
                "bcc is not installed; `apt install python3-bpfcc` (PyPI's package bcc is "
                "another thing)"
            ) from error
    try:
        return _usable(_load_by_path(_DEBIAN_PACKAGE))
    except (ImportError, OSError, AttributeError, SyntaxError) as error:
        raise SourceUnavailable(
            f"{_DEBIAN_PACKAGE.parent} does not load in {sys.executable}: {error}; use a virtual "
            "environment made from /usr/bin/python3 with --system-site-packages"
        ) from None


def _usable(module: ModuleType) -> ModuleType:
    if not hasattr(module, "BPF"):
        raise ImportError(f"{module.__file__} is not the BPF Compiler Collection")
    return module


def _load_by_path(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "bcc", path, submodule_search_locations=[str(path.parent)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["bcc"]
        raise
    return module


class Program:
    """One compiled program: its functions, maps and ring. Close it; links to it end first."""

    def __init__(self, text: str) -> None:
        """Compiles `text` (0.2 to 0.4 s). Raises SourceUnavailable."""
        check_privilege()
        self._bcc = import_bcc()
        self._module: Any = _compile(self._bcc, text)

    def load(self, function: str, attach_type: int = -1) -> int:
        """The descriptor of a loaded uprobe function, owned by the program. Raises OSError.

        Asking again with another attach type loads it anew.
        """
        return self._load(function, _KPROBE, attach_type)

    def attach_raw_tracepoint(self, tracepoint: str, function: str) -> int:
        """A descriptor; closing it detaches. Raises OSError."""
        program = self._load(function, _RAW_TRACEPOINT, -1)
        event = int(self._bcc.lib.bpf_attach_raw_tracepoint(program, tracepoint.encode()))
        if event < 0:
            raise OSError(-event, f"tracepoint {tracepoint}: {os.strerror(-event)}")
        return event

    def _load(self, function: str, kind: int, attach_type: int) -> int:
        name = function.encode()
        earlier = self._module.funcs.pop(name, None)
        if earlier is not None:
            os.close(earlier.fd)
        try:
            loaded = self._module.load_func(name, kind, None, attach_type)
        except Exception as error:  # bcc raises nothing narrower
            raise OSError(f"{function}: {error}") from None
        return int(loaded.fd)

    def map(self, name: str) -> Any:
        """One of the program's maps, as bcc presents it."""
        return self._module[name.encode()]

    def per_cpu_array(self, name: str) -> list[int]:
        """Values of a per-CPU array, each the sum over the CPUs."""
        table = self.map(name)
        return [int(table.sum(index).value) for index in range(len(table))]

    def per_cpu_items(self, name: str) -> Iterator[tuple[Any, int]]:
        """Keys of a per-CPU hash with their values' sums, read in batches."""
        for key, values in self.map(name).items_lookup_batch():
            yield key, sum(int(value) for value in values)

    def open_ring(self, name: str, data_bytes: int) -> RingReader:
        """A reader of a ring buffer map of this size; close it before the program."""
        return RingReader(int(self.map(name).map_fd), data_bytes)

    def run_time(self) -> tuple[int, int]:
        """Nanoseconds that the functions ran (0 unless the kernel measures it), and skipped runs.

        From the lines of /proc/self/fdinfo; a function that was loaded anew begins at 0.
        """
        facts = [_run_facts(function.fd) for function in self._module.funcs.values()]
        return sum(row[0] for row in facts), sum(row[2] for row in facts)

    def runs(self, function: str) -> tuple[int, int]:
        """Nanoseconds and runs of one loaded function; 0 unless the kernel measures it."""
        run_ns, runs, _ = _run_facts(self._module.funcs[function.encode()].fd)
        return run_ns, runs

    def close(self) -> None:
        """Frees programs and maps; may be called twice."""
        if self._module is not None:
            # bcc keeps each module alive until the process ends, unless its hook is taken out.
            atexit.unregister(self._module.cleanup)
            self._module.cleanup()
            self._module = None


def _run_facts(descriptor: int) -> tuple[int, int, int]:
    """A loaded function's nanoseconds, runs, and runs that the kernel skipped."""
    facts = {"run_time_ns": 0, "run_cnt": 0, "recursion_misses": 0}
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    for name, _, value in (line.partition(":") for line in lines):
        if name in facts:
            facts[name] = int(value)
    return facts["run_time_ns"], facts["run_cnt"], facts["recursion_misses"]


def _compile(bcc: ModuleType, text: str) -> Any:
    with _compiling, _headers():
        try:
            return bcc.BPF(text=text.encode())
        except Exception as error:  # bcc raises nothing narrower
            raise SourceUnavailable(
                f"bcc could not compile our program ({error}); its messages are above"
            ) from None


@contextmanager
def _headers() -> Iterator[None]:
    """bcc's variable set to our stub tree, unless somebody has set it to real headers."""
    if KERNEL_SOURCE in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="hakmem-") as scratch:
        try:
            tree = stub_tree()
        except OSError:  # no home, or somebody else's: for this once
            tree = stub_tree(Path(scratch))
        os.environ[KERNEL_SOURCE] = str(tree)
        try:
            yield
        finally:
            del os.environ[KERNEL_SOURCE]

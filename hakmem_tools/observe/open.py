"""Opens the best source for a process: BPF where it works, else the counters page.

The commands and the terminal UI come here, so that only observe/bpf/ knows of bcc.
"""

from __future__ import annotations

import importlib
from typing import Literal

from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.source import Source, SourceUnavailable

Wanted = Literal["auto", "bpf", "counters"]

_BPF_MODULE = "hakmem_tools.observe.bpf.source"


def open_source(pid: int, want: Wanted = "auto", *, page: CountersSource | None = None) -> Source:
    """A source for `pid`; close it. An open `page` of the process may be given, and is taken over.

    With "auto", the counters page serves where BPF does not work, and its `missing` says why.
    Raises TargetError for a process that cannot be watched, and SourceUnavailable when "bpf"
    was asked for and does not work.
    """
    page = page if page is not None else CountersSource(pid)
    if want == "counters":
        return page
    try:
        return _open_bpf(pid, page)
    except SourceUnavailable as reason:
        if want == "bpf":
            page.close()
            raise
        page.missing = (f"{page.missing[0]} (no BPF: {reason})",)
        return page
    except BaseException:
        page.close()
        raise


def _open_bpf(pid: int, page: CountersSource) -> Source:
    try:
        module = importlib.import_module(_BPF_MODULE)
    except ModuleNotFoundError as error:
        raise SourceUnavailable(f"{error.name} is not installed") from None
    source: Source = module.open_bpf(pid, page)
    return source

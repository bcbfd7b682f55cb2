"""Puts the built library and its header into the wheel, beside the module that looks for them.

hatchling calls it for `pip wheel .`; pyproject.toml names it. An editable installation, which is
what `make` sets up, finds both in the checkout and needs no copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INCLUDED = {
    "build/libhakmem.so": "hakmem_tools/native/libhakmem.so",
    "lib/include/hakmem_abi.h": "hakmem_tools/native/hakmem_abi.h",
    "probes": "hakmem_tools/observe/bpf/probes",
}


class NativeFiles(BuildHookInterface[Any]):
    """Adds INCLUDED; the wheel is then one for this kind of machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises FileNotFoundError when the library is not built."""
        if version == "editable":
            return
        for source, place in INCLUDED.items():
            path = Path(self.root, source)
            if not path.exists():
                raise FileNotFoundError(f"{source} is not there: run `make build` first")
            build_data["force_include"][str(path)] = place
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

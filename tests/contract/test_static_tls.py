"""The thread-local storage lies where the loader leaves room for a library opened late."""

from __future__ import annotations

from elftools.elf.elffile import ELFFile

from hakmem_tools.native.header import find_library

#: glibc keeps 1664 bytes for initial-exec storage of libraries that dlopen() brings; others take
#: their share of it. A tool that opens the library for its tables cannot do so beyond.
MOST_BYTES = 1600


def test_a_program_that_opens_the_library_late_has_room_for_its_thread_local_storage() -> None:
    with find_library().open("rb") as file:
        sizes = [s["p_memsz"] for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_TLS"]
    assert 0 < sum(sizes) <= MOST_BYTES

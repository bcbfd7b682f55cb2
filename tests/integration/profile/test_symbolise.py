"""Names for addresses: of real programs, built in every way, running, deleted, replaced, moved."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_records import CallFrame, Module, Stack, Symbols
from hakmem_tools.observe import debug_files, symbolise
from hakmem_tools.observe.debug_files import find_files
from hakmem_tools.observe.dwarf import DebugInfo
from hakmem_tools.observe.elf import ElfFile
from hakmem_tools.observe.proc import parse_maps
from hakmem_tools.observe.symbolise import Symboliser, name_frames
from tests.unit.model.profiles import header

SOURCE = """\
#include <map>
#include <string>
#include <unistd.h>
namespace app {
namespace {
__attribute__((noinline)) void *leak(int n) { return new char[n]; }
}
inline void *deep(int n) {
  return leak(n * 2);
}
struct Tree {
  std::map<std::string, int> m;
  __attribute__((noinline)) void grow(int n) {
    for (int i = 0; i < n; i++) m[std::to_string(i)] = i;
  }
};
}
extern "C" __attribute__((noinline)) void *entry(int n) {
  void *p = app::deep(n);
  asm volatile("" : : "r"(p));
  return p;
}
int main(int argc, char **) {
  app::Tree t;
  t.grow(argc * 3);
  entry(argc);
  write(1, "r", 1);
  char c;
  return read(0, &c, 1) != 1;
}
"""


def build(directory: Path, *flags: str, name: str = "program") -> Path:
    source = directory / "program.cc"
    source.write_text(SOURCE)
    path = directory / name
    subprocess.run(["g++", "-O2", "-w", "-Wl,--build-id", *flags, "-o", path, source], check=True)
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built"), "-g", "-rdynamic")


def addresses(path: Path) -> dict[str, tuple[int, int]]:
    """Function -> (address, size), as nm tells them."""
    out = subprocess.run(["nm", "-S", path], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return {r[3]: (int(r[0], 16), int(r[1], 16)) for r in rows if len(r) == 4 and r[2] in "tTWw"}


def module_of(path: Path, name: str | None = None) -> Module:
    with ElfFile(str(path)) as file:
        return Module(1, name or str(path), file.build_id(), *file.identity)


def offset_in(path: Path, function: str, plus: int = 0) -> int:
    with ElfFile(str(path)) as file:
        offset = file.offset_of(addresses(path)[function][0] + plus)
    assert offset is not None
    return offset


def frames_at(module: Module, offset: int, cache: Path, pid: int | None = None) -> list[CallFrame]:
    with Symboliser({module.id: module}, pid=pid, cache_directory=cache) as symboliser:
        return list(symboliser.resolve([(module.id, offset)])[module.id, offset])


@pytest.mark.parametrize(
    "flags",
    [
        ("-gdwarf-2",),
        ("-gdwarf-3",),
        ("-gdwarf-4",),
        ("-gdwarf-5",),
        ("-g", "-gz"),
        ("-g", "-no-pie"),
    ],
    ids=" ".join,
)
def test_places_are_those_of_addr2line(tmp_path: Path, flags: tuple[str, ...]) -> None:
    path = build(tmp_path, *flags)
    wanted = [
        address + step
        for name, (address, size) in addresses(path).items()
        if "app" in name or name in ("main", "entry")
        for step in range(0, size, 5)
    ]
    assert len(wanted) > 50
    with DebugInfo(str(path)) as debug:
        ours = [debug.places(address) for address in wanted]
        assert debug.damaged is None
    for address, places, theirs in zip(wanted, ours, addr2line(path, wanted), strict=True):
        told = [(os.path.normpath(place.file or "?"), place.line or 0) for place in places]
        assert told == [(file, line) for _, file, line in theirs], hex(address)
        assert [place.inlined for place in places] == [True] * (len(places) - 1) + [False]
        for place, (function, _, _) in zip(places, theirs, strict=True):
            # A function in an unnamed namespace has its plain name in the debug information.
            assert place.function == function or place.function in function


def addr2line(path: Path, wanted: list[int]) -> list[list[tuple[str, str, int]]]:
    """(function, file, line) of each address, innermost first, as binutils tell it."""
    text = "\n".join(hex(address) for address in wanted)
    out = subprocess.run(
        ["addr2line", "-a", "-f", "-i", "-e", path],
        input=text,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: list[list[tuple[str, str, int]]] = []
    lines = iter(out.splitlines())
    for line in lines:
        if line.startswith("0x"):
            found.append([])
            continue
        file, _, number = next(lines).partition(" (disc")[0].rpartition(":")
        found[-1].append((line, os.path.normpath(file), int(number) if number.isdigit() else 0))
    return found


def test_an_inlined_call_is_a_frame_of_its_own(program: Path, tmp_path: Path) -> None:
    size = addresses(program)["entry"][1]
    found = [
        frames_at(module_of(program), offset_in(program, "entry", at), tmp_path)
        for at in range(size)
    ]
    stacks = {tuple((frame.name, frame.line, frame.inlined) for frame in one) for one in found}
    assert (("app::deep", 9, True), ("entry", 19, False)) in stacks


def test_names_are_demangled_with_their_namespace(program: Path, tmp_path: Path) -> None:
    leak = next(name for name in addresses(program) if "leak" in name)
    (frame,) = frames_at(module_of(program), offset_in(program, leak), tmp_path)
    assert frame.function == "app::(anonymous namespace)::leak"
    assert frame.file is not None
    assert (Path(frame.file).name, frame.line) == ("program.cc", 6)


def test_a_stripped_program_is_told_by_its_dynamic_symbols(program: Path, tmp_path: Path) -> None:
    offset = offset_in(program, "entry")
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", stripped, program], check=True)
    (frame,) = frames_at(module_of(stripped), offset, tmp_path)
    assert (frame.function, frame.file) == ("entry", None)


def test_without_any_symbol_a_frame_is_module_and_offset(program: Path, tmp_path: Path) -> None:
    plain = build(tmp_path, name="plain")
    offset = offset_in(plain, "main")
    address = addresses(plain)["main"][0]
    subprocess.run(["strip", plain], check=True)
    (frame,) = frames_at(module_of(plain), offset, tmp_path)
    assert frame.name == f"plain+{address:#x}"


def test_a_debug_file_is_found_by_its_link(program: Path, tmp_path: Path) -> None:
    offset = offset_in(program, "entry")
    stripped = split(program, tmp_path, "linked.debug")
    (*_, frame) = frames_at(module_of(stripped), offset, tmp_path / "cache")
    assert frame.line is not None


def test_a_linked_debug_file_of_another_build_is_not_believed(
    program: Path, tmp_path: Path
) -> None:
    stripped = split(program, tmp_path, "linked.debug")
    with (tmp_path / "linked.debug").open("ab") as file:
        file.write(b"another build")
    assert find_files(module_of(stripped)).debug is None


def test_a_debug_file_is_found_by_build_id(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset, build_id = offset_in(program, "entry"), module_of(program).build_id
    assert build_id is not None
    stripped = split(program, tmp_path, "elsewhere.debug")
    place = tmp_path / "root" / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    place.parent.mkdir(parents=True)
    (tmp_path / "elsewhere.debug").rename(place)
    monkeypatch.setattr(debug_files, "DEBUG_ROOT", str(tmp_path / "root"))
    assert find_files(module_of(stripped)).debug == str(place)
    (*_, frame) = frames_at(module_of(stripped), offset, tmp_path / "cache")
    assert frame.line is not None


def split(program: Path, directory: Path, name: str) -> Path:
    """A stripped copy of a program, and its debug information in a file of its own."""
    stripped, debug = directory / "stripped", directory / name
    for arguments in (
        ["--only-keep-debug", program, debug],
        ["--strip-all", f"--add-gnu-debuglink={debug}", program, stripped],
    ):
        subprocess.run(["objcopy", *arguments], check=True, cwd=directory)
    return stripped


@pytest.fixture
def running(program: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A copy of the program that runs until it is told to go."""
    path = tmp_path / "server"
    shutil.copy(program, path)
    with run([str(path)]) as process:
        yield process, path


def run(command: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1) == b"r"  # it runs main
    return process


def mapped(pid: int, name: str, build_id: str | None) -> Module:
    """The module of a running process as a recorder writes it."""
    with open(f"/proc/{pid}/maps") as file:
        row = next(m for m in parse_maps(file.read()) if name in m.path and "x" in m.permissions)
    path = row.path.removesuffix(" (deleted)")
    return Module(1, path, build_id, row.device, row.inode, path != row.path)


def test_a_program_deleted_while_it_runs_still_has_its_names(
    running: tuple[subprocess.Popen[bytes], Path], tmp_path: Path
) -> None:
    process, path = running
    build_id, offset = module_of(path).build_id, offset_in(path, "entry")
    path.unlink()
    module = mapped(process.pid, "server", build_id)
    assert module.deleted
    frame = frames_at(module, offset, tmp_path / "cache", process.pid)[-1]
    assert (frame.function, frame.note) == ("entry", "")
    assert frame.line is not None


def test_a_program_replaced_while_it_runs_has_the_names_of_what_runs(
    running: tuple[subprocess.Popen[bytes], Path], tmp_path: Path
) -> None:
    process, path = running
    build_id, offset = module_of(path).build_id, offset_in(path, "entry")
    path.unlink()
    build(tmp_path, "-O0", name="server")
    module = mapped(process.pid, "server", build_id)
    assert frames_at(module, offset, tmp_path / "cache", process.pid)[-1].function == "entry"


def test_a_program_replaced_since_it_was_recorded_is_said_to_be(
    program: Path, tmp_path: Path
) -> None:
    path = tmp_path / "server"
    shutil.copy(program, path)
    module, offset = module_of(path), offset_in(path, "entry")
    build(tmp_path, "-O0", name="server")
    (frame,) = frames_at(module, offset, tmp_path / "cache")
    assert (frame.function, frame.note) == (None, "replaced on disk")
    assert frame.name.startswith("server+0x")


def test_a_file_that_is_gone_is_said_to_be(program: Path, tmp_path: Path) -> None:
    module = Module(1, str(tmp_path / "nowhere"), "ab" * 20)
    (frame,) = frames_at(module, 0x1234, tmp_path)
    assert (frame.name, frame.note) == ("nowhere+0x1234", "no such file here")


def test_a_program_in_another_mount_namespace_is_read_in_its_own(
    program: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    script = f"mount -t tmpfs none {hidden} && cp {program} {hidden}/inside && exec {hidden}/inside"
    mapping = [] if os.geteuid() == 0 else ["--map-root-user"]  # refused inside of a chroot
    with run(["unshare", *mapping, "--mount", "sh", "-c", script]) as process:
        assert not (hidden / "inside").exists()
        module = mapped(process.pid, "inside", module_of(program).build_id)
        frames = frames_at(module, offset_in(program, "entry"), tmp_path / "cache", process.pid)
    assert frames[-1].function == "entry"
    assert frames[-1].line is not None


def test_a_second_look_opens_no_debug_information(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, offset = module_of(program), offset_in(program, "entry")
    first = frames_at(module, offset, tmp_path)

    def refuse(_path: str) -> DebugInfo:
        raise AssertionError("opened again")

    monkeypatch.setattr(symbolise, "DebugInfo", refuse)
    assert frames_at(module, offset, tmp_path) == first


def test_names_are_remembered_by_what_the_file_is_not_by_what_it_says_it_is(
    program: Path, tmp_path: Path
) -> None:
    """Another file with the same build-id does not give its names to ours."""
    offset = offset_in(program, "entry")
    forged = tmp_path / "forged"
    shutil.copy(program, forged)
    data = forged.read_bytes()
    forged.write_bytes(data.replace(b"entry\0", b"lying\0"))
    frames_at(module_of(forged), offset, tmp_path / "cache")
    assert frames_at(module_of(program), offset, tmp_path / "cache")[-1].function == "entry"


def test_a_build_id_that_is_a_path_leads_nowhere(program: Path, tmp_path: Path) -> None:
    module = Module(1, str(tmp_path / "no"), "../../../../etc/passwd")
    (frame,) = frames_at(module, 5, tmp_path / "cache")
    assert frame.name == "no+0x5"
    assert not (tmp_path / "cache").exists()


def test_a_profile_is_named_in_place_and_what_was_found_can_be_embedded(
    program: Path, tmp_path: Path
) -> None:
    stack = Stack(1, ((1, offset_in(program, "entry", 1)), (0, 0x7F0000001234)))
    profile = Profile.of([header(), module_of(program), stack])
    found = name_frames(profile, cache_directory=tmp_path)
    assert {(symbols.module, symbols.offset) for symbols in found} == set(stack.places())
    names = [frame.name for frame in profile.stack_frames(1)]
    assert "entry" in names
    assert names[-1] == "0x7f0000001233"
    named = [symbols for symbols in found if symbols.frames[-1].function]
    assert len(named) == 1
    assert name_frames(profile, cache_directory=tmp_path) == []


def test_code_of_a_jit_has_the_names_that_it_wrote_down(tmp_path: Path) -> None:
    pid = os.getpid()
    path = Path(f"/tmp/perf-{pid}.map")
    path.write_text("7f0000001000 100 Interpreter:loop one\nbad line\n7f00000020 zz x\n")
    try:
        with Symboliser({}, pid=pid, cache_directory=tmp_path) as symboliser:
            found = symboliser.resolve([(0, 0x7F0000001010), (0, 0x7F0000009999)])
    finally:
        path.unlink()
    assert found[0, 0x7F0000001010][0].function == "Interpreter:loop one"
    assert found[0, 0x7F0000009999][0].name == "0x7f0000009999"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_debug_information_is_one_line_and_no_traceback(
    program: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(program.read_bytes())
    for _ in range(data.draw(st.integers(1, 40))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw) // 2, 100]))])
    with DebugInfo(str(path)) as debug:
        for address, _ in addresses(program).values():
            debug.places(address)
        assert debug.damaged is None or "\n" not in debug.damaged
    find_files(Module(1, str(path), "ab" * 20))


def test_a_place_that_was_embedded_without_a_name_is_looked_up_again(
    program: Path, tmp_path: Path
) -> None:
    stack = Stack(1, ((1, offset_in(program, "entry", 1)),))
    bare = Symbols(1, stack.places()[0][1], (CallFrame(str(program), 5),))
    profile = Profile.of([header(), module_of(program), stack, bare])
    name_frames(profile, cache_directory=tmp_path)
    assert profile.stack_frames(1)[-1].function == "entry"

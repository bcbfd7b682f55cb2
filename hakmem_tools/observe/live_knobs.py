"""Changes live knobs of a running process by a request in its counters page.

The command line (`hakmem knobs set`) and the sweep's live mode use it. Only the process's own user
(or root) can open its page for writing. Requests are checked here against the descriptors that the
page carries, and again by the process, which logs each on its stderr. One writer at a time: an
flock on the page. A process answers on its next slow path, so an idle one may take its time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from hakmem_tools.model.descriptors import Knob, KnobValue
from hakmem_tools.model.settings import Setting, SettingError, find_knob, parse_setting
from hakmem_tools.native.abi import Abi, load_abi
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.page import KnobSetting
from hakmem_tools.observe.source import TargetError, TargetGone

_ALL = 0xFFFFFFFF
_FIRST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.05
DEFAULT_WAIT_S = 2.0


class CannotWrite(TargetError):
    """The page cannot be written, or is busy with another tool's request."""


class Applied(msgspec.Struct, frozen=True):
    """What became of a request: the value in force now, and the policy that came of it.

    `answered` is False when the process did not come to it in time; the request was withdrawn
    then, `value` and `source` are the former ones, and `policy_version` is None.
    """

    pid: int
    knob: Knob | None
    index: int | None
    value: KnobValue | None
    source: str | None
    answered: bool
    policy_version: int | None


def set_knob(
    source: CountersSource,
    assignment: str,
    *,
    wait_s: float = DEFAULT_WAIT_S,
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Applied:
    """Sets a live knob, NAME=VALUE. Raises SettingError, CannotWrite, TargetGone."""
    setting = parse_setting(source.descriptors, assignment)
    _check_live(source, setting.knob, assignment)
    request = _Request(setting.knob, setting.index, bits=_bits(setting))
    return _ask(source, request, wait_s, now_s, sleep)


def reset_knobs(
    source: CountersSource,
    name: str | None = None,
    *,
    wait_s: float = DEFAULT_WAIT_S,
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Applied:
    """Takes one live knob, or all, back to what the process started with. Raises as set_knob."""
    if name is None:
        return _ask(source, _Request(None, None, reset=True), wait_s, now_s, sleep)
    knob, index = find_knob(source.descriptors, name)
    _check_live(source, knob, name)
    return _ask(source, _Request(knob, index, reset=True), wait_s, now_s, sleep)


class _Request(msgspec.Struct, frozen=True):
    knob: Knob | None
    index: int | None
    bits: int = 0
    reset: bool = False


def _check_live(source: CountersSource, knob: Knob, what: str) -> None:
    if knob.scope != "live":
        live = [row.env for row in source.descriptors.knobs if row.scope == "live"]
        raise SettingError(
            f"{what}: {knob.env} is read at the start only; start the program with it "
            f"(`hakmem knobs` names the {len(live)} that are live)"
        )


def _bits(setting: Setting) -> int:
    if setting.knob.type == "float":
        return int(struct.unpack("<q", struct.pack("<d", setting.number))[0])
    return int(setting.number)


def _value_index(source: CountersSource, knob: Knob | None, index: int | None) -> int:
    if knob is None:
        return _ALL
    for at, slot in enumerate(source.descriptors.knob_slots()):
        if slot[0] is knob and slot[1] == index:
            return at
    raise SettingError(f"{knob.env}: the process has no such value")


def _ask(
    source: CountersSource,
    request: _Request,
    wait_s: float,
    now_s: Callable[[], float],
    sleep: Callable[[float], None],
) -> Applied:
    abi = load_abi()
    record = _value_index(source, request.knob, request.index)
    with _control(source) as (descriptor, offset):
        number = _send(descriptor, offset, abi, request, record)
        deadline, pause_s = now_s() + wait_s, _FIRST_PAUSE_S
        while (fields := _read(descriptor, offset, abi))["answered"] < number:
            if not source.process.is_alive():
                raise TargetGone(f"process {source.pid} has ended")
            if now_s() >= deadline:
                _withdraw(descriptor, offset, abi)
                return _result(source, request, None)
            sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    if fields["status"] != 0:
        reason = os.strerror(-fields["status"])
        raise CannotWrite(f"process {source.pid} refused the change: {reason}")
    return _result(source, request, fields["version"])


def _result(source: CountersSource, request: _Request, version: int | None) -> Applied:
    now = _setting_of(source, request) if request.knob is not None else None
    return Applied(
        pid=source.pid,
        knob=request.knob,
        index=request.index,
        value=now.value if now else None,
        source=now.source if now else None,
        answered=version is not None,
        policy_version=version,
    )


def _setting_of(source: CountersSource, request: _Request) -> KnobSetting:
    return next(
        row for row in source.knobs() if row.knob is request.knob and row.index == request.index
    )


def _send(descriptor: int, offset: int, abi: Abi, request: _Request, index: int) -> int:
    """Writes the request, its number last; returns the number."""
    number = _read(descriptor, offset, abi)["answered"] + 1
    for field, value in (
        ("knob_value_index", index),
        ("value", request.bits),
        ("reset", int(request.reset)),
        ("writer_pid", os.getpid()),
        ("request", number),
    ):
        width = abi.field_bytes("hak_control", field)
        at = offset + abi.offset_of("hak_control", field)
        os.pwrite(descriptor, value.to_bytes(width, "little", signed=value < 0), at)
    return number


def _withdraw(descriptor: int, offset: int, abi: Abi) -> None:
    answered = _read(descriptor, offset, abi)["answered"]
    at = offset + abi.offset_of("hak_control", "request")
    os.pwrite(descriptor, answered.to_bytes(8, "little"), at)


def _read(descriptor: int, offset: int, abi: Abi) -> dict[str, int]:
    data = os.pread(descriptor, abi.size_of("hak_control"), offset)
    return abi.fields("hak_control", data)


@contextmanager
def _control(source: CountersSource) -> Iterator[tuple[int, int]]:
    """The page open for writing, and where the control record lies in it; we alone write."""
    if source.control_offset == 0 or not source.page_path:
        raise CannotWrite(
            f"process {source.pid}: its page cannot be written; "
            "start it with HAKMEM_PAGE=1, and leave its descriptors open"
        )
    try:
        descriptor = os.open(source.page_path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise CannotWrite(
            f"process {source.pid}: its page cannot be opened for writing "
            f"({error.strerror}); run as its owner or as root"
        ) from None
    try:
        _check_same(source, descriptor)
        _lock(source.pid, descriptor)
        yield descriptor, source.control_offset
    finally:
        os.close(descriptor)


def _check_same(source: CountersSource, descriptor: int) -> None:
    """The path may lead to another process's file by now."""
    abi = load_abi()
    head = abi.fields("hak_page_header", os.pread(descriptor, abi.header_bytes, 0))
    layout = source.layout
    if (head["pid"], head["start_ns"]) != (layout.pid, layout.start_ns):
        raise TargetGone(f"process {source.pid} has started another program")


def _lock(pid: int, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise
        raise CannotWrite(
            f"process {pid}: another tool is changing its knobs; try again when it has ended"
        ) from None

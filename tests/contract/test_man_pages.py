"""A command's manual page names every option that the command takes, and what it costs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click
import pytest

from hakmem_tools.cli.main import group

MAN = Path(__file__).resolve().parents[2] / "docs" / "man"
PAGES = sorted(path.stem for path in MAN.glob("hakmem-*.1"))


def command_of(page: str) -> click.Command:
    with group.make_context("hakmem", ["--help"], resilient_parsing=True) as context:
        command = group.get_command(context, page.removeprefix("hakmem-"))
    assert command is not None, f"{page}.1 describes no command"
    return command


def plain(page: str) -> str:
    """The page's text without roff's escapes."""
    text = (MAN / f"{page}.1").read_text()
    return text.replace("\\-", "-").replace("\\fR", "").replace("\\~", " ")


@pytest.mark.parametrize("page", PAGES)
def test_every_option_is_in_the_page(page: str) -> None:
    text = plain(page) + plain("hakmem")  # which holds the options of a target
    for parameter in command_of(page).params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for name in parameter.opts:
                assert name in text, name


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_command_that_observes_says_what_it_costs(page: str) -> None:
    if page == "hakmem-run":
        return  # hakmem is gone when the program runs
    assert ".SH OVERHEAD" in (MAN / f"{page}.1").read_text()


@pytest.mark.parametrize("name", ["run", "stat", "top", "knobs", "probes", "doctor"])
def test_each_command_of_the_observation_floor_has_a_page(name: str) -> None:
    assert f"hakmem-{name}" in PAGES


def test_the_main_page_lists_every_command_and_each_has_a_page() -> None:
    with group.make_context("hakmem", ["--help"], resilient_parsing=True) as context:
        names = group.list_commands(context)
    listed, _, _ = (MAN / "hakmem.1").read_text().partition(".SH OPTIONS")
    assert [name for name in names if f".BR hakmem-{name} (1)" not in listed] == []
    assert [name for name in names if f"hakmem-{name}" not in PAGES] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("page", ["hakmem", *PAGES])
def test_a_page_formats_without_a_warning(page: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(MAN / f"{page}.1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""

"""scripts/ensure-ground installs what is missing and nothing else; here on a machine of fakes.

Every program that it calls comes from one directory: harmless ones are real, those that would
change the machine write down how they were called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REAL = "awk basename bash cat comm cut dirname echo env flock grep sed sha256sum sort tr xargs"
RECORDERS = "apt-get chmod rm tee update-rc.d"
LIST = "[build]\ngcc # a compiler\n\n[demo < build]\nredis-server\n\n[test < demo]\ntmux\n"


class Machine:
    """A copy of the script beside a small package list, and what is installed there."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "repo"
        self.bin = directory / "bin"
        self.calls = directory / "calls"
        self.calls.touch()
        (self.root / "scripts").mkdir(parents=True)
        (self.root / ".venv" / "bin").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / "scripts" / "ensure-ground", self.root / "scripts")
        (self.root / "packages.apt").write_text(LIST)
        (self.root / "pyproject.toml").write_text("[project]\n")
        (self.root / "VERSION").write_text("1\n")
        for name in REAL.split():
            (self.bin / name).symlink_to(shutil.which(name) or name)
        for name in RECORDERS.split():
            self.fake(name, f'echo "{name} $*" >>"{self.calls}"')
        self.record_in_venv("python")
        self.record_in_venv("hakmem")
        self.user(0)
        self.installed("gcc", "redis-server", "tmux")

    def fake(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def record_in_venv(self, name: str) -> None:
        path = self.root / ".venv" / "bin" / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.calls}"\n')
        path.chmod(0o755)

    def user(self, uid: int) -> None:
        self.fake("id", f"echo {uid}")

    def installed(self, *packages: str) -> None:
        lines = "\\n".join(f"installed {name}" for name in packages)
        self.fake("dpkg-query", f"printf '{lines}\\n'")
        self.fake("dpkg", "echo /etc/init.d/redis-server")

    def ensure(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / "scripts" / "ensure-ground", *arguments],
            env={"PATH": str(self.bin)} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def called(self, program: str) -> list[str]:
        lines = self.calls.read_text().splitlines()
        return [line for line in lines if line.startswith(f"{program} ")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_only_the_missing_packages_of_the_group_are_installed(machine: Machine) -> None:
    machine.installed("gcc")
    done = machine.ensure("demo")
    assert (done.returncode, done.stdout) == (0, "")
    assert len(machine.called("apt-get")) == 1
    assert machine.called("apt-get")[0].endswith(" install -y --no-install-recommends redis-server")


def test_a_service_that_came_with_a_package_is_switched_off(machine: Machine) -> None:
    machine.installed("gcc")
    machine.ensure("demo")
    assert machine.called("update-rc.d") == ["update-rc.d redis-server disable"]


def test_the_build_does_not_ask_for_the_demos_packages(machine: Machine) -> None:
    machine.installed("gcc")
    assert machine.ensure("build").returncode == 0
    assert machine.called("apt-get") == []


def test_nothing_is_called_or_said_when_nothing_is_missing(machine: Machine) -> None:
    machine.ensure("test")
    machine.calls.write_text("")
    done = machine.ensure("test")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.calls.read_text() == ""


def test_a_user_without_sudo_is_told_in_one_line_what_to_install(machine: Machine) -> None:
    machine.user(1000)
    machine.installed("gcc")
    done = machine.ensure("test")
    assert done.returncode == 4
    assert done.stderr == (
        "ground: missing: redis-server tmux; as root: "
        "apt-get install --no-install-recommends redis-server tmux\n"
    )
    assert machine.called("apt-get") == []


def test_a_user_with_sudo_installs_through_it(machine: Machine) -> None:
    machine.user(1000)
    machine.fake("sudo", f'echo "sudo $*" >>"{machine.calls}"; exec "$@"')
    machine.installed("gcc", "redis-server")
    assert machine.ensure("test").returncode == 0
    assert any("apt-get" in call and call.endswith(" tmux") for call in machine.called("sudo"))


def test_packages_are_only_named_when_checking_was_asked_for(machine: Machine) -> None:
    machine.installed("gcc")
    done = machine.ensure("test", HAKMEM_GROUND="check")
    assert done.returncode == 4
    assert machine.called("apt-get") == []


def test_a_refused_installation_is_tried_again_with_fresh_lists_then_reported(
    machine: Machine,
) -> None:
    machine.installed("gcc")
    machine.fake("apt-get", f'echo "apt-get $*" >>"{machine.calls}"; [[ $* == *update* ]]')
    done = machine.ensure("demo")
    assert done.returncode == 1
    assert [call.split()[-1] for call in machine.called("apt-get")] == [
        "redis-server",
        "update",
        "redis-server",
    ]
    assert done.stderr.splitlines()[-1].startswith(
        "ground: apt-get could not install: redis-server"
    )


def test_an_unknown_group_is_refused_with_the_known_ones(machine: Machine) -> None:
    done = machine.ensure("tests")
    assert done.returncode == 2
    assert done.stderr == "ground: unknown group 'tests': known are build demo test\n"


def test_the_environment_is_made_anew_only_when_the_project_file_changes(machine: Machine) -> None:
    machine.ensure("test")
    machine.ensure("test")
    assert len(machine.called("python")) == 1
    assert machine.called("python")[0].endswith(f"--editable {machine.root}[dev]")
    (machine.root / "pyproject.toml").write_text('[project]\nname = "other"\n')
    machine.ensure("test")
    assert len(machine.called("python")) == 2


def test_an_environment_for_tests_serves_the_build_too(machine: Machine) -> None:
    machine.ensure("test")
    machine.ensure("build")
    assert len(machine.called("python")) == 1


def test_a_failed_pip_leaves_no_stamp(machine: Machine) -> None:
    python = machine.root / ".venv" / "bin" / "python"
    python.write_text("#!/bin/bash\nexit 1\n")
    done = machine.ensure("build")
    assert done.returncode == 1
    assert "pip could not install hakmem" in done.stderr.splitlines()[-1]
    machine.record_in_venv("python")
    assert machine.ensure("build").returncode == 0
    assert len(machine.called("python")) == 1


def test_every_group_of_the_real_list_is_known_to_the_script() -> None:
    groups = [
        line.split("]")[0].strip("[").split("<")[0].strip()
        for line in (ROOT / "packages.apt").read_text().splitlines()
        if line.startswith("[")
    ]
    assert groups == ["build", "demo", "bench", "test", "lint"]
    assert os.access(ROOT / "scripts" / "ensure-ground", os.X_OK)

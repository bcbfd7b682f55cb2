"""`hakmem apply`: writes a proven setting as an environment file and a systemd drop-in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hakmem_tools.cli.errors import DONE, GATE_FAILED, INCONCLUSIVE, Failure, run_guarded, say
from hakmem_tools.cli.interrupt import asked_to_stop
from hakmem_tools.cli.sweeping import Teller, failures

if TYPE_CHECKING:
    from hakmem_tools.tune.study import Proof

_FILE = click.Path(path_type=Path)


@click.command
@click.argument("source", type=_FILE)
@click.option("--arm", help="The arm of a sweep to apply; by default the best that has GO.")
@click.option("-o", "--output", type=_FILE, help="The environment file; by default stdout.")
@click.option("--systemd", "unit", metavar="UNIT", help="Also write a drop-in for this service.")
@click.option("--systemd-dir", type=_FILE, default=Path("/etc/systemd/system"), show_default=True)
@click.option("--max-time", type=click.FloatRange(1), help="Seconds to verify at most.")
@click.option("--force", is_flag=True, help="Replace files; write what is not shown to be better.")
def command(
    source: Path, arm: str | None, output: Path | None, unit: str | None, systemd_dir: Path,
    max_time: float | None, force: bool,
) -> int:  # fmt: skip
    """Put a winning setting to work: hakmem apply STUDY (of `hakmem tune`) or SWEEP-FILE.

    A study was verified by its search; an arm of a sweep is verified now, against the sweep's
    reference with fresh runs. Without --force nothing is written unless it is shown to be better.
    """
    from hakmem_tools.tune import apply

    with failures():
        target = apply.drop_in_path(unit, systemd_dir) if unit else None
        for path in (output, target):
            if path is not None and path.exists() and not force:
                raise Failure(f"{path}: exists; --force replaces it")
        proof = _proof(source, arm, max_time)
        env = apply.settings(proof.plan.env, proof.winner.env, proof.plan.cwd)
        say(proof.evidence)
        if not proof.better and not force:
            say("not shown to be better, so nothing is written; --force writes it all the same")
            return GATE_FAILED if proof.kind == "NO-GO" else INCONCLUSIVE
        text = apply.env_file(env, proof.evidence)
        if output is None:
            click.echo(text, nl=False)
        else:
            output.write_text(text)
            say(f"written: {output}")
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(apply.drop_in(env, proof.evidence))
            say(f"written: {target}; now: systemctl daemon-reload && systemctl restart {unit}")
    return DONE


def _proof(source: Path, arm: str | None, max_time: float | None) -> Proof:
    from hakmem_tools.tune.study import proof_of_study

    if not source.exists():
        raise Failure(f"{source}: no such study or sweep file")
    if source.is_dir():
        if arm is not None:
            raise Failure("--arm: a study has one winner; --arm goes with a sweep's file")
        return proof_of_study(source)
    return _verified(source, arm, max_time)


def _verified(source: Path, name: str | None, max_time: float | None) -> Proof:
    """An arm of a sweep, compared with its reference once more, in a file beside the sweep's."""
    from hakmem_tools.tune import libhakmem, search, session
    from hakmem_tools.tune.experiment import result_of
    from hakmem_tools.tune.store import Store
    from hakmem_tools.tune.study import Proof, chosen_arm

    with Store.open(source) as store:
        arm = chosen_arm(result_of(store), store.plan, name)
        limit = store.plan.limits.max_time if max_time is None else max_time
        plan = search.verification_plan(store.plan, store.plan.reference, arm, limit)
    say(f"verifying {arm.name} against {plan.reference.name} with fresh runs")
    path = source.with_suffix(f".verify-{plan.fingerprint[:8]}.sweep")
    with asked_to_stop() as stopping:
        result, _ = session.run(
            plan, path, library=libhakmem.installed(), force=session.is_complete(plan, path),
            observe=Teller(), stopping=stopping,
        )  # fmt: skip
        if not result.complete:
            raise KeyboardInterrupt
    return Proof(plan=plan, winner=arm, reference=plan.reference, verification=result)


if __name__ == "__main__":
    raise SystemExit(run_guarded(lambda: command.main(standalone_mode=False)))

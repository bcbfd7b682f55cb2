"""A sweep's result for programs: JSON lines, one per arm and a summary; CSV, one row per run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import msgspec

from hakmem_tools.model.trial import Trial
from hakmem_tools.tune.result import SCHEMA_VERSION, SweepResult


def json_lines(result: SweepResult) -> str:
    """One object per contender in the plan's order, last a summary with the A/A result."""
    records: list[dict[str, object]] = []
    for arm in result.arms:
        record = {"schema_version": SCHEMA_VERSION, **msgspec.to_builtins(arm)}
        records.append(record)
    records.append(
        {
            "schema_version": SCHEMA_VERSION,
            "summary": {
                "title": result.title,
                "command": list(result.command),
                "reference": result.reference,
                "reference_env": dict(result.reference_env),
                "reference_runs": result.reference_runs,
                "reference_failed": result.reference_failed,
                "reference_metrics": msgspec.to_builtins(result.reference_metrics),
                "metric": result.metric,
                "better": result.better,
                "blocks": result.blocks,
                "horizon": result.horizon,
                "looks": result.looks,
                "spent": result.spent,
                "complete": result.complete,
                "seconds": result.seconds,
                "level": result.level,
                "rules": result.rules,
                "hosts": list(result.hosts),
                "machine": dict(result.machine),
                "warnings": list(result.warnings),
                "refused": dict(result.refused),
            },
            "aa": msgspec.to_builtins(result.calibration),
        }
    )
    return "".join(msgspec.json.encode(record).decode() + "\n" for record in records)


def csv_rows(trials: Sequence[Trial]) -> str:
    """Every run with all its metrics; a missing number is an empty cell, never 0."""
    names = sorted({name for trial in trials for name in (*trial.metrics, *trial.missing)})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["phase", "block", "position", "arm", "host", "status", "started_ns", "exit_code",
         "detail", *names]
    )  # fmt: skip
    for trial in trials:
        key = trial.key
        writer.writerow(
            [key.phase, key.block, key.position, trial.arm, trial.host, trial.status,
             trial.started_ns, "" if trial.exit_code is None else trial.exit_code, trial.detail,
             *(repr(trial.metrics[name]) if name in trial.metrics else "" for name in names)]
        )  # fmt: skip
    return out.getvalue()

"""A sweep's result as one HTML page that needs nothing beside itself: no script, no other file."""

from __future__ import annotations

import html
import shlex
from collections.abc import Sequence

from hakmem_tools.model.trial import Phase, Trial
from hakmem_tools.tune.report import plots, words
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.verdict import Rules

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #66707d; --grid: #e3e7ec;
  --paper: #fff; --go: #18794e; --nogo: #c62828; --neutral: #33658a; --open: #8a6d1d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #98a2ae; --grid: #2c333c;
  --paper: #14181d; --go: #4cc38a; --nogo: #ff6b6b; --neutral: #7fb2dd; --open: #d8b451; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
code { font-size: .92em } .note, .rules { color: var(--soft) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--grid);
  white-space: nowrap } td.why { white-space: normal }
svg { width: 100%; height: auto } svg text { font-size: 12px; fill: var(--ink) }
svg .end { text-anchor: end } svg .middle { text-anchor: middle; fill: var(--soft) }
svg .note { fill: var(--soft) } .grid { stroke: var(--grid) } .zero { stroke: var(--soft) }
.rule { stroke: var(--soft); stroke-dasharray: 3 4 } .bar { stroke-width: 4 }
.run { fill: var(--neutral); fill-opacity: .55 } polyline { fill: none; stroke-opacity: .7 }
.go { color: var(--go); stroke: var(--go); fill: var(--go) }
.no-go { color: var(--nogo); stroke: var(--nogo); fill: var(--nogo) }
.neutral { color: var(--neutral); stroke: var(--neutral); fill: var(--neutral) }
.inconclusive { color: var(--open); stroke: var(--open); fill: var(--open) }
.key { margin-right: 1rem; font-size: .9rem } .key::before { content: "\\25AC  " }
.c0 { stroke: #4477aa; color: #4477aa } .c1 { stroke: #ee6677; color: #ee6677 }
.c2 { stroke: #228833; color: #228833 } .c3 { stroke: #ccbb44; color: #a08c1c }
.c4 { stroke: #66ccee; color: #3aa6cc } .c5 { stroke: #aa3377; color: #aa3377 }
.c6 { stroke: #bb7711; color: #bb7711 } .c7 { stroke: #777; color: #777 }
"""


def page(result: SweepResult, trials: Sequence[Trial], rules: Rules | None = None) -> str:
    """The whole page; `rules` draws the verdicts' edges (the defaults when not given)."""
    rules = rules or Rules()
    measured = [trial for trial in trials if trial.key.phase == Phase.MEASURE]
    names = [result.reference, *(arm.arm for arm in result.arms)]
    title = html.escape(result.title or "Sweep")
    bands = (rules.no_go, -rules.neutral, rules.neutral, rules.go)
    parts = [
        f"<h1>{title}</h1>",
        f"<p><code>{html.escape(shlex.join(result.command))}</code><br>"
        f"{html.escape(result.metric)}, {result.better} is better; effects are against"
        f" <code>{html.escape(result.reference)}</code></p>",
        _verdicts(result),
        _asked(result),
        "<h2>Effects</h2>",
        plots.effects(words.sorted_arms(result), bands),
        f'<p class="rules">{html.escape(result.rules)}</p>',
        "<h2>Every run</h2>",
        plots.points(names, measured, result.metric, words.unit_of(result, result.metric)),
        "<h2>Memory</h2>",
        plots.memory(names, measured),
        "<h2>All metrics</h2>",
        '<p class="note">Medians; in parentheses the change to the reference.</p>',
        _metrics(result),
        "<h2>How it was measured</h2>",
        _circumstances(result),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _verdicts(result: SweepResult) -> str:
    rows = []
    for arm in words.sorted_arms(result):
        kind = str(arm.verdict)
        cells = [
            html.escape(arm.arm),
            f'<b class="{kind.lower()}">{kind}</b>',
            words.percent(arm.effect),
            words.interval(arm.interval),
            html.escape(words.p_value(arm.p_adjusted)),
            f"{arm.runs}, {arm.failed_runs} failed, {arm.outliers} outlying",
        ]
        rows.append(cells)
    head = ["arm", "verdict", "effect", "interval", "p adjusted", "runs"]
    reasons = "".join(
        f"<li><code>{html.escape(arm.arm)}</code>: {html.escape(arm.reason)}</li>"
        for arm in words.sorted_arms(result)
    )
    return _table(head, rows) + f"<ul>{reasons}</ul>"


def _asked(result: SweepResult) -> str:
    """A row for each metric: there are more of them than arms, mostly, and none may be cut off."""
    arms = [[html.escape(cell) for cell in row] for row in words.asked(result)]
    rows = [list(row) for row in zip(*arms, strict=True)]
    return "<h2>Metrics asked for</h2>" + _table(rows[0], rows[1:]) if rows else ""


def _metrics(result: SweepResult) -> str:
    rows = []
    for name in words.columns(result):
        unit = words.unit_of(result, name)
        cells = [html.escape(name), words.amount(result.reference_metrics[name].median, unit)]
        for arm in result.arms:
            summary = arm.metrics.get(name)
            change = words.percent(summary.change if summary else None)
            bounds = words.interval(summary.interval if summary else None)
            value = words.amount(summary.median if summary else None, unit)
            cells.append(f'<span title="95 %: {bounds}">{value} ({change})</span>')
        rows.append(cells)
    head = ["metric", result.reference, *(arm.arm for arm in result.arms)]
    return _table([html.escape(one) for one in head], rows)


def _circumstances(result: SweepResult) -> str:
    lines = [words.calibration_line(result), words.progress_line(result)]
    lines += [f"hosts: {', '.join(result.hosts)}"]
    lines += [f"{name}: {fact}" for name, fact in result.machine.items()]
    lines += [f"missing: {name}: {reason}" for name, reason in words.missing(result).items()]
    lines += [f"warning: {warning}" for warning in result.warnings]
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'

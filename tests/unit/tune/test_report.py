"""Reports: the same result in every format, and pages that stand alone."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as tree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hakmem_tools.model.trial import RssSample, Trial
from hakmem_tools.tune.experiment import Experiment
from hakmem_tools.tune.report import FORMATS, plots, render, words
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.store import Store
from tests.unit.tune.fakes import QUIET, FakeRunner
from tests.unit.tune.test_experiment import plan_of


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepResult, list[Trial]]:
    """A sweep with a gain, a crash, and an arm whose name is hostile to markup."""
    effects = {"base": 0.0, "gain": 0.3, "<b>|bad & 'arm'": 0.0}
    runner = FakeRunner(effects, faults={"<b>|bad & 'arm'": "killed by SIGSEGV"})
    path: Path = tmp_path_factory.mktemp("report") / "s.db"
    with Store.create(path, plan_of(effects, title="A <title>")) as store:
        result = Experiment(store, runner, clock=runner.clock, machine=lambda: QUIET).conduct()
        return result, store.trials()


def test_json_has_one_line_per_arm_with_the_promised_fields_and_a_summary_last(
    swept: tuple[SweepResult, list[Trial]],
) -> None:
    lines = [json.loads(line) for line in render("json", *swept).splitlines()]
    assert [line.get("arm") for line in lines] == ["gain", "<b>|bad & 'arm'", None]
    promised = {"schema_version", "arm", "env", "metric", "effect", "interval", "p_adjusted",
                "verdict", "runs", "failed_runs"}  # fmt: skip
    assert promised <= set(lines[0])
    assert lines[0]["verdict"] == "GO"
    assert lines[1]["effect"] is None
    assert lines[2]["aa"]["ok"] is True
    assert lines[2]["summary"]["complete"] is True


def test_csv_has_every_run_and_leaves_missing_numbers_empty(
    swept: tuple[SweepResult, list[Trial]],
) -> None:
    rows = list(csv.DictReader(io.StringIO(render("csv", *swept))))
    assert len(rows) == len(swept[1])
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(failed) == 3
    assert failed[0]["wall"] == ""
    assert {row["instructions"] for row in rows} == {""}


@pytest.mark.parametrize("kind", ["terminal", "markdown", "html"])
def test_every_report_shows_verdicts_calibration_and_what_is_missing(
    kind: str, swept: tuple[SweepResult, list[Trial]]
) -> None:
    text = render(kind, *swept)
    for part in ("GO", "INCONCLUSIVE", "A/A over", "killed by SIGSEGV", "does not count it"):
        assert part in text


def test_the_page_is_one_file_with_escaped_names_and_well_formed_plots(
    swept: tuple[SweepResult, list[Trial]],
) -> None:
    text = render("html", *swept)
    assert "<b>|bad" not in text
    assert not re.search(r"(?:src|href)=|<script|@import|url\(", text)
    figures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(figures) == 2  # the simulated runs have no memory curve, and the page says so
    assert "No run was long enough" in text
    for figure in figures:
        tree.fromstring(figure)
    assert _Balanced().check(text)


class _Balanced(HTMLParser):
    """Checks that every element that needs it is closed, in order."""

    def check(self, text: str) -> bool:
        self.open: list[str] = []
        self.good = True
        self.feed(text)
        return self.good and not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        self.good = self.good and bool(self.open) and self.open.pop() == tag


def test_memory_curves_are_drawn_for_every_arm(swept: tuple[SweepResult, list[Trial]]) -> None:
    import msgspec

    curve = (RssSample(0.0, 1 << 20), RssSample(0.5, 3 << 20), RssSample(1.0, 2 << 20))
    known = [trial for trial in swept[1] if trial.arm in ("base", "gain")]
    trials = [msgspec.structs.replace(trial, rss=curve) for trial in known[-6:]]
    drawn = plots.memory(["base", "gain"], trials)
    assert drawn.count("<polyline") == len(trials)
    tree.fromstring(drawn.partition("<p>")[0])


def test_a_scale_of_one_value_still_has_a_width() -> None:
    scale = plots.Scale([5.0], 0, 100)
    assert scale.bottom < 5.0 < scale.top
    assert 0 <= scale(5.0) <= 100


def test_an_unknown_format_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="terminal"):
        render("pdf", None)  # type: ignore[arg-type]
    assert "html" in FORMATS


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "–"),
        (0.0, "s", "0 s"),
        (0.0123, "s", "12.3 ms"),
        (2_500_000.0, "", "2.5 M"),
        (0.25, "fraction", "25.00 %"),
    ],
)
def test_amounts_read_well(value: float | None, unit: str, text: str) -> None:
    assert words.amount(value, unit) == text

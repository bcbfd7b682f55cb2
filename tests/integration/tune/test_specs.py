"""The committed specs run, in a short form, and their page shows what the mission asks for."""

from __future__ import annotations

import html.parser
from pathlib import Path

from hakmem_tools.tune.spec import parse_spec
from tests.integration.tune.commands import hakmem
from tests.integration.tune.specs import SPECS, shortened

STAGES = ("stage_0_5_c7", "stage_1_c7", "stage_2_c7", "stage_3_c7")


class Tables(html.parser.HTMLParser):
    """Every table of a page, as rows of cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[-1][-1][-1] += data


def test_c7_has_all_its_arms_with_every_number_that_the_mission_asks_for(tmp_path: Path) -> None:
    spec, page = shortened("c7.toml", tmp_path, **{'"100"': '"10"'}), tmp_path / "c7.html"
    said = hakmem("sweep", spec, "--precision", "0.01", "--json", "--report", page,
                  "-o", tmp_path / "c7.sweep")  # fmt: skip
    assert said.code == 0, said.err
    *arms, summary = said.lines
    assert summary["summary"]["refused"] == {}  # every knob was read back from a process
    by_name = {arm["arm"]: arm for arm in arms}
    assert set(by_name) == {"A", "B", "D", "A+B", "A+B+D"}
    for arm in arms:
        assert 3 <= arm["runs"] <= 5, arm["reason"]  # a clear effect ends an arm early
        assert arm["failed_runs"] == 0
    values = {name: _medians(arm["metrics"]) for name, arm in by_name.items()}
    values["reference"] = _medians(summary["summary"]["reference_metrics"])
    assert values["reference"]["shared_fail_c7"] > 0
    for name in ("A", "A+B", "A+B+D"):
        assert values[name]["shared_fail_c7"] == 0
        assert by_name[name]["effect"] > 0
    for one in values.values():
        assert abs(sum(one[stage] for stage in STAGES) - 1) < 0.1  # medians, each of its own
        assert one["ops_per_second"] > 0
        assert 0 < one["kernel_share"] < 1
        assert one["peak_rss"] > 1 << 20
    head, *rows = _table_of(page, "metric")
    assert head == ["metric", "reference", "A", "B", "D", "A+B", "A+B+D"]
    wanted = {"ops_per_second", "kernel_share", "shared_fail_c7", "peak_rss", *STAGES}
    assert wanted <= {row[0] for row in rows}
    assert not any(cell == "–" for row in rows if row[0] in wanted for cell in row)


def test_every_committed_spec_is_a_plan() -> None:
    for path in sorted(SPECS.glob("*.toml")):
        plan = parse_spec(path.read_text())
        assert plan.title, path


def _medians(metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    return {name: summary["median"] for name, summary in metrics.items()}


def _table_of(page: Path, heading: str) -> list[list[str]]:
    tables = Tables(page.read_text()).tables
    return next(table for table in tables if heading in table[0])

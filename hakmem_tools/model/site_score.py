"""How well call sites are taken for what they are: a confusion matrix over labelled sites.

`hakmem bench --sites` fills it. Pure. Precision and recall as in C. van Rijsbergen, "Information
Retrieval", 1979, chapter 7. Missing is None: without a site of a class there is no recall.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

POLICIES = ("SMALL_FREQUENT", "MEDIUM", "LARGE_INFREQUENT", "DEFAULT")


class Judged(msgspec.Struct, frozen=True):
    """A site, what it is, and what it was taken for; None where no table has it."""

    function: str
    label: str
    inferred: str | None


class PolicyScore(msgspec.Struct, frozen=True):
    """Of one policy: sites labelled so, sites inferred to be so, and those that are both."""

    policy: str
    labelled: int
    inferred: int
    right: int

    @property
    def precision(self) -> float | None:
        """Of the sites inferred to be so, the share so labelled; None when none was inferred."""
        return self.right / self.inferred if self.inferred else None

    @property
    def recall(self) -> float | None:
        """Of the sites labelled so, the share so inferred; None when none is labelled so."""
        return self.right / self.labelled if self.labelled else None


class Confusion(msgspec.Struct, frozen=True):
    """How often a site labelled (row) was inferred to be (column), in the order of POLICIES.

    `not_seen` sites are in no cell: the table has no record of them.
    """

    cells: tuple[tuple[int, ...], ...]
    wrong: tuple[Judged, ...]
    not_seen: tuple[Judged, ...]

    @property
    def sites(self) -> int:
        return sum(map(sum, self.cells)) + len(self.not_seen)

    @property
    def right(self) -> int:
        return sum(self.cells[i][i] for i in range(len(POLICIES)))

    @property
    def accuracy(self) -> float | None:
        """Share of all sites inferred as labelled, those not seen included; None without sites."""
        return self.right / self.sites if self.sites else None

    @property
    def scores(self) -> tuple[PolicyScore, ...]:
        """Precision and recall of each policy; a site not seen counts against recall."""
        unseen = Counter(site.label for site in self.not_seen)
        return tuple(
            PolicyScore(
                policy=policy,
                labelled=sum(self.cells[i]) + unseen[policy],
                inferred=sum(row[i] for row in self.cells),
                right=self.cells[i][i],
            )
            for i, policy in enumerate(POLICIES)
        )


def confusion_of(judged: Iterable[Judged]) -> Confusion:
    """The matrix. Raises ValueError for a label or an inference that is no policy."""
    known = list(judged)
    for site in known:
        for name in {site.label, site.inferred} - {None}:
            if name not in POLICIES:
                raise ValueError(f"{site.function}: {name} is no policy of a call site")
    pairs = Counter((site.label, site.inferred) for site in known)
    return Confusion(
        cells=tuple(tuple(pairs[label, column] for column in POLICIES) for label in POLICIES),
        wrong=tuple(site for site in known if site.inferred not in (None, site.label)),
        not_seen=tuple(site for site in known if site.inferred is None),
    )


def confusion_record(confusion: Confusion) -> dict[str, Any]:
    """The matrix as a JSON line has it."""
    return {
        "sites": confusion.sites,
        "right": confusion.right,
        "accuracy": confusion.accuracy,
        "policies": [
            {
                **msgspec.to_builtins(score),
                "precision": score.precision,
                "recall": score.recall,
                "inferred_as": dict(zip(POLICIES, row, strict=True)),
            }
            for score, row in zip(confusion.scores, confusion.cells, strict=True)
        ],
        "wrong": msgspec.to_builtins(confusion.wrong),
        "not_seen": msgspec.to_builtins(confusion.not_seen),
    }


def confusion_lines(title: str, confusion: Confusion) -> list[str]:
    """The matrix for people."""
    accuracy = confusion.accuracy
    share = "no sites" if accuracy is None else f"{100 * accuracy:.0f} %"
    head = (
        f"{title}: {confusion.right} of {confusion.sites} sites taken for what they are ({share})"
    )
    columns = "".join(f"{name:>18}" for name in POLICIES)
    lines = [head, f"  {'labelled':<17}{columns}{'precision':>11}{'recall':>8}"]
    for score, row in zip(confusion.scores, confusion.cells, strict=True):
        cells = "".join(f"{cell:>18}" for cell in row)
        lines.append(
            f"  {score.policy:<17}{cells}{_share(score.precision):>11}{_share(score.recall):>8}"
        )
    for site in confusion.wrong:
        lines.append(f"  {site.function} is {site.label}, taken for {site.inferred}")
    for site in confusion.not_seen:
        lines.append(f"  {site.function} is {site.label}, not in the table")
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

"""Records of the suite of visits as Markdown: figures, rows won, bars."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import NamedTuple

from bars import judge
from longitudinal import BARS, FURTHER, MODELS, ROWS, SHARE_OF_ROWS
from quality import REAL
from records import Record
from table import bars_table, cell, machine_line, place

COSTS = (("fit s", "fit_s", 1), ("sample s", "sample_s", 1), ("peak MiB", "peak_mib", 0))
COUNTED = (*ROWS, "next_visit", "tstr_drop")
"""Figures of which less is better, on which ours and a rival are compared."""
EXPLAINED = (
    "Errors against the test patients, 0 is best, as `shared/measure/score_seq.py` has them. "
    "*real patients* are the training patients in the place of synthetic ones. Seconds are those "
    "of fit and sample alone."
)


class Comparison(NamedTuple):
    """On how many figures ours is better than a rival, worse, or equal."""

    data: str
    rival: str
    better: int
    worse: int
    equal: int


def page(records: Sequence[Record]) -> str:
    """Everything that was measured."""
    if not records:
        return "nothing measured yet\n"
    parts = [visits_table(records), EXPLAINED, further_table(records)]
    parts += ["### Rows on which ours is better", rows_table(compared(records))]
    parts += ["### Bars", bars_table(judge(records, BARS)), machine_line(records)]
    return "\n\n".join(part for part in parts if part) + "\n"


def visits_table(records: Sequence[Record]) -> str:
    """Costs and errors of everybody, set by set, the real patients first."""
    columns = [*COSTS, *((row, row, 3) for row in ROWS)]
    head = "| data | who | " + " | ".join(title for title, _, _ in columns) + " |"
    lines = [head, "|---|---|" + "---:|" * len(columns)]
    for data, groups in _grouped(records).items():
        for i, (who, group) in enumerate(groups.items()):
            shown = "*real patients*" if who == REAL else who
            cells = [cell(group, figure, digits) for _, figure, digits in columns]
            lines.append(f"| {data if not i else ''} | {shown} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def further_table(records: Sequence[Record]) -> str:
    """What the synthetic patients are good for: one line for everybody who has such figures."""
    lines = ["| data | who | figures |", "|---|---|---|"]
    for data, groups in _grouped(records).items():
        for who, group in groups.items():
            figures = [(figure, cell(group, figure, 3)) for figure in FURTHER]
            told = ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in figures if text)
            lines += [f"| {data} | {who} | {told} |"] if told else []
    return "\n".join(lines) if len(lines) > 2 else ""


def compared(records: Sequence[Record]) -> list[Comparison]:
    """Hold our default model, with default options, against every rival on every set."""
    found = []
    for data, groups in _grouped(records).items():
        ours = groups.get(MODELS[0], [])
        for who, group in groups.items():
            if not ours or not group[0]["rival"]:
                continue
            gaps = [
                mean(r[name] for r in ours) - mean(r[name] for r in group)
                for name in COUNTED
                if all(r.get(name) is not None for r in (*ours, *group))
            ]
            better, worse = sum(gap < 0 for gap in gaps), sum(gap > 0 for gap in gaps)
            found.append(Comparison(data, who, better, worse, len(gaps) - better - worse))
    return found


def rows_table(comparisons: Sequence[Comparison]) -> str:
    """Shares by set and over all sets; equal rows are left out of a share."""
    lines = ["| rival | data | better | worse | equal | share |", "|---|---|" + "---:|" * 4]
    for rival in dict.fromkeys(one.rival for one in comparisons):
        here = [one for one in comparisons if one.rival == rival]
        whole = Comparison(
            "**all**",
            rival,
            sum(one.better for one in here),
            sum(one.worse for one in here),
            sum(one.equal for one in here),
        )
        for one in (*here, whole):
            counted = one.better + one.worse
            share = f"{one.better / counted:.2f}" if counted else ""
            if one.data == "**all**" and counted:
                share += " pass" if one.better >= SHARE_OF_ROWS * counted else " **FAIL**"
            lines.append(
                f"| {rival} | {one.data} | {one.better} | {one.worse} | {one.equal} | {share} |"
            )
    return "\n".join(lines)


def _grouped(records: Sequence[Record]) -> dict[str, dict[str, list[Record]]]:
    """Records by set, then by who and with what options; real patients first."""
    found: dict[str, dict[str, list[Record]]] = {}
    for record in sorted(records, key=lambda record: record["who"] != REAL):
        who = f"{record['who']} {record.get('options', '')}".strip()
        found.setdefault(place(record), {}).setdefault(who, []).append(record)
    return found

"""Records as Markdown: what was measured, beside its ceiling, and against the bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from bars import Verdict
from quality import REAL
from records import Record

COLUMNS = (
    ("fit s", "fit_s", 1),
    ("sample s", "sample_s", 1),
    ("peak MiB", "peak_mib", 0),
    ("Shape", "shapes", 3),
    ("Trend", "trends", 3),
    ("C2ST", "detect", 3),
    ("TSTR", "tstr", 3),
    ("nearer", "closer", 3),
    ("null error", "nulls", 3),
)
START = "<!-- benchmarks: start (written by benchmarks/run.py table --update-readme) -->"
END = "<!-- benchmarks: end -->"
EXPLAINED = (
    "Shape and Trend: 1 is best. C2ST: AUC of boosted trees that tell synthetic from held-out real "
    "rows, 0.5 is best. TSTR: score on held-out real rows of a predictor trained on synthetic "
    "ones. nearer: share of synthetic rows nearer to a training than to a held-out row, 0.5 is "
    "best. *real rows* is what real data itself reaches. Fit seconds are those of the fit alone."
)


def quality_table(records: Sequence[Record]) -> str:
    """One Markdown table over all data sets, each ε apart: the real rows first, then by C2ST."""
    head = "| data | who | " + " | ".join(title for title, _, _ in COLUMNS) + " |"
    lines = [head, "|---|---|" + "---:|" * len(COLUMNS)]
    for data in dict.fromkeys(map(place, records)):
        here = [record for record in records if place(record) == data]
        names = dict.fromkeys((r["who"], r.get("options", "")) for r in here)
        groups = {n: [r for r in here if (r["who"], r.get("options", "")) == n] for n in names}
        for i, (name, group) in enumerate(sorted(groups.items(), key=_order)):
            shown = "*real rows*" if name[0] == REAL else " ".join(name).strip()
            cells = [cell(group, figure, digits) for _, figure, digits in COLUMNS]
            lines.append(f"| {data if not i else ''} | {shown} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def place(record: Record) -> str:
    """Name the data set, and the ε where there is one."""
    epsilon = record.get("epsilon")
    return record["data"] if epsilon is None else f"{record['data']}, ε = {epsilon:g}"


def _order(item: tuple[tuple[str, str], list[Record]]) -> tuple[bool, float]:
    (who, _), group = item
    return who != REAL, mean(record.get("detect", 1.0) for record in group)


def cell(group: Sequence[Record], figure: str, digits: int) -> str:
    """Mean over seeds; with several seeds the range stands behind it."""
    values = [record[figure] for record in group if record.get(figure) is not None]
    if not values:
        return ""
    text = f"{mean(values):,.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):,.{digits}f}–{max(values):,.{digits}f})"
    return text


def bars_table(verdicts: Sequence[Verdict]) -> str:
    """Each bar with what was measured, the rival's figure, and pass, FAIL or not run."""
    lines = [
        "| data | who | figure | bar | measured | rival | |",
        "|---|---|---|---|---:|---:|---|",
    ]
    for verdict in verdicts:
        bar = verdict.bar
        figure = f"{bar.figure} / {bar.rival}'s" if bar.rival else bar.figure
        data = bar.data if bar.epsilon is None else f"{bar.data}, ε = {bar.epsilon:g}"
        limits = [f"≥ {bar.low:g}"] if bar.low is not None else []
        limits += [f"≤ {bar.high:.4g}"] if bar.high is not None else []
        result = {None: "not run", True: "pass", False: "**FAIL**"}[verdict.passed]
        note = f" ({verdict.note})" if verdict.note else ""
        lines.append(
            f"| {data} | {bar.who} | {figure} | {', '.join(limits)} | {_number(verdict.value)} "
            f"| {_number(verdict.rival_value)} | {result}{note} |"
        )
    return "\n".join(lines)


def speed_table(records: Sequence[Record]) -> str:
    """One line a part of the speed suite, every figure named."""
    lines = ["| part | figures |", "|---|---|"]
    lines += [f"| {record['data']} | {figures_of(record)} |" for record in records]
    return "\n".join(lines)


def figures_of(record: Record) -> str:
    """Name every figure of a record."""
    hidden = {"suite", "data", "who", "seed", "options", "when", "machine"}
    figures = ((k.replace("_", " "), v) for k, v in record.items() if k not in hidden)
    return ", ".join(f"{name} {_number(value)}" for name, value in figures)


def machine_line(records: Sequence[Record]) -> str:
    """On what and when; more than one machine or commit is said, not hidden."""
    facts = [record["machine"] for record in records]
    parts = []
    for name, word in (("cores", " cores"), ("cpu", ""), ("torch", ""), ("commit", "")):
        values = dict.fromkeys(str(fact[name]) for fact in facts if fact.get(name))
        label = {"torch": "torch ", "commit": "commit "}.get(name, "")
        parts.append(label + " and ".join(values) + word)
    days = sorted(record["when"][:10] for record in records)
    span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    return f"Measured on {', '.join(parts)}, {span}."


def _number(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


def readme_block(records: Sequence[Record]) -> str:
    """What stands between the marks in the README."""
    return f"{quality_table(records)}\n\n{EXPLAINED}\n{machine_line(records)}"


def update_readme(path: Path, block: str) -> None:
    """Replace what stands between the two marks.

    Raises
    ------
    ValueError
        If the file does not hold each mark once, in order.
    """
    text = path.read_text()
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(
            f"{path} must hold the lines {START!r} and {END!r} once each, in this order"
        )
    before, after = text.split(START)[0], text.split(END)[1]
    path.write_text(f"{before}{START}\n{block}\n{END}{after}")

"""`synthehr rules`: find rules in a table, and count who breaks them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthehr.commands import options
from synthehr.commands.console import put, put_json, say
from synthehr.commands.reading import read_table

if TYPE_CHECKING:
    from synthehr.modes.rule_mining import MinedRule

app = typer.Typer(name="rules", help="Rules that records keep.", no_args_is_help=True)


@app.command()
def suggest(
    table: options.Table,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it here, to be edited.")
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", help="Share of the records that must keep a rule.")
    ] = 1.0,
    reading: options.Read = None,
    schema: options.SchemaFile = None,
    patient: options.Patient = None,
    visit_time: options.VisitTime = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Find orders, sums, combinations and implications that hold for all records.

    With --time, also what holds from visit to visit: columns that never fall, last levels.
    """
    from synthehr.errors import ConfigError
    from synthehr.io import check_target
    from synthehr.io.atomic import write_text
    from synthehr.io.visits import read_visits
    from synthehr.modes.rule_mining import constant_columns, mine
    from synthehr.modes.time_mining import mine_over_time
    from synthehr.schema.infer import infer
    from synthehr.schema.table import Schema
    from synthehr.split import patients_of

    if not 0.5 < confidence <= 1:
        raise ConfigError("--confidence must be above 0.5 and at most 1", hint="leave it at 1")
    if output is not None:
        check_target(output, force)
    source = read_table(table, reading)
    known = (
        infer(source.table, patient=patient, on_text="drop", pandas_types=source.pandas_types)
        if schema is None
        else Schema.read(schema)
    )
    patients = patients_of(source.table, patient or known.patient)
    found = mine(source.table, known, patients, confidence=confidence)
    if visit_time is not None:
        visits = read_visits(source, patient=patient or known.patient, time=visit_time)
        known = known.with_columns(replace(known[visit_time], role="time"))
        starts = visits.offsets()
        found += mine_over_time(visits.table, known, starts, confidence=confidence)
    constant = constant_columns(source.table, known, patients)
    text = rules_text(found, constant)
    if output is not None:
        write_text(output, text, force=force)
        say(f"wrote {output}\nnext: read it, and synthehr fit {table} --rules {output}")
    if json:
        put_json(
            {
                "rules": [
                    {**each.entry, "support": each.support, "confidence": each.confidence}
                    for each in found
                ],
                "constant_per_patient": constant,
            }
        )
    elif output is None:
        put(text)


@app.command()
def check(
    table: options.Table,
    rules: Annotated[Path, typer.Argument(help="A file of rules.", show_default=False)],
    reading: options.Read = None,
    patient: options.Patient = None,
    visit_time: options.VisitTime = None,
    json: options.Json = False,
) -> None:
    """Count the records, or visits, that break each rule; exit code 1 where some do."""
    from synthehr.io.visits import read_visits
    from synthehr.modes.constraints import Rules, Together
    from synthehr.modes.rule_checks import broken, check_rules

    source, asked = read_table(table, reading), Rules.read(rules)
    check_rules(asked, source.table.schema, of_visits=visit_time is not None)
    records, starts = source.table, None
    if visit_time is not None:
        visits = read_visits(source, patient=patient, time=visit_time)
        records, starts = visits.table, visits.offsets()
    counts = {
        # what a fit would learn from the records says nothing of them
        rule.name: None
        if isinstance(rule.body, Together) and rule.body.allowed is None
        else int(broken(rule.body, records, starts).sum())
        for rule in asked.rules
    }
    if json:
        put_json({"records": records.num_rows, "broken": counts})
    else:
        width = max(map(len, counts), default=0)
        for name, count in counts.items():
            of = f"{count:,} of {records.num_rows:,}" if count is not None else "lists none"
            put(f"{name:<{width}}  {of}")
    if any(counts.values()):
        raise typer.Exit(1)


def rules_text(found: list[MinedRule], constant: list[str]) -> str:
    """Write rules that were found as a file to be edited."""
    lines = [
        "# Found in the records; nobody has vouched for them. Keep what must hold for every",
        "# patient, leave the rest out, and say so: mined = false.",
        "mined = true",
    ]
    for each in found:
        lines += [
            "",
            f"# {each.support:,} records, {each.broken:,} break it "
            f"(confidence {each.confidence:.4g})",
            "[[rule]]",
            *(f"{key} = {_toml(value)}" for key, value in each.entry.items()),
        ]
    if constant:
        lines += ["", "# The same in all records of a patient (no rule yet):"]
        lines += [f"#   {name}" for name in constant]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Write a text, a list of texts or a mapping as TOML; JSON's quotes are TOML's."""
    import json

    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(key)} = {_toml(each)}' for key, each in value.items())}}}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

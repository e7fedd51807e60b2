"""`synthehr report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthehr.commands import options
from synthehr.commands.console import put, say
from synthehr.commands.reading import read_table
from synthehr.commands.report_images import assess_images, for_images
from synthehr.commands.report_visits import assess_visits
from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.evaluation.images.report import ImageEvaluation
    from synthehr.evaluation.longitudinal.report import VisitEvaluation
    from synthehr.evaluation.releasable import ReleasableReport
    from synthehr.evaluation.report import Report

Real = Annotated[
    Path,
    typer.Argument(
        help="The real table or images; not read with --releasable.", show_default=False
    ),
]
Synthetic = Annotated[
    Path, typer.Argument(help="The synthetic table or images.", show_default=False)
]
Unfitted = Annotated[
    Path | None,
    typer.Option(
        "--holdout",
        help="Real records that were not fitted, where no model file says which they are.",
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="A,B",
        help="Columns whose levels are groups with figures of their own.",
        show_default="sex, gender, race, ethnicity",
    ),
]
Releasable = Annotated[
    bool,
    typer.Option(
        "--releasable",
        help="The ledger and the synthetic table by itself, which may be published; needs a "
        "differentially private --model. REAL is not read.",
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COL",
        help="The column that says when: compare visits, several rows a --patient, over time.",
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option("--image-column", help="The column of file names in a table beside images."),
]
Features = Annotated[
    str | None,
    typer.Option(
        "--features",
        metavar="MODULE:FUNCTION",
        help="What images are compared by, from pixels (n, C, H, W) to features (n, D); a small "
        "classifier of the real ones by default.",
        show_default=False,
    ),
]
ReadingSheet = Annotated[
    Path | None,
    typer.Option(
        "--reading-sheet", help="A blinded quiz of images for experts, with its key beside it."
    ),
]


def report(
    real: Real,
    synthetic: Synthetic,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="The model file: it says which records were held out."),
    ] = None,
    holdout: Unfitted = None,
    target: options.Target = None,
    audit: Annotated[
        options.Audit,
        typer.Option("--audit", help="deep trains shadow models: some times as long as the fit."),
    ] = options.Audit.quick,
    by: By = None,
    rules: options.RulesFile = None,
    releasable: Releasable = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The report, one HTML file.")
    ] = Path("report.html"),
    json: Annotated[
        str | None, typer.Option("--json", help="The same figures as JSON; - for stdout.")
    ] = None,
    schema: options.SchemaFile = None,
    reading: options.Read = None,
    patient: options.Patient = None,
    time: Time = None,
    image_column: ImageColumn = None,
    features: Features = None,
    reading_sheet: ReadingSheet = None,
    fail_under: options.FailUnder = None,
    seed: options.Seed = None,
    force: options.Force = False,
) -> None:
    """Say how faithful a synthetic table, or images, are, and how exposed the patients."""
    from synthehr.gates import assess, check_gates, limits_of
    from synthehr.io import check_target
    from synthehr.modes.constraints import Rules

    limits = limits_of(fail_under or ())
    for path in (output, *([Path(json)] if json not in (None, "-") else [])):
        check_target(path, force)
    groups = None if by is None else options.names(by)
    deep = audit is options.Audit.deep or None
    asked: dict[str, Any] = {
        "--holdout": holdout, "--target": target, "--audit deep": deep, "--by": groups,
        "--rules": rules, "--schema": schema, "--patient": patient, "--time": time,
        "--fail-under": fail_under or None, "--seed": seed, "--image-column": image_column,
        "--features": features, "--reading-sheet": reading_sheet,
    }  # fmt: skip
    if releasable:
        _check_asked(asked, real, synthetic)
        return _write(_releasable(synthetic, reading, model), output, json, force)
    found: Report | VisitEvaluation | ImageEvaluation
    if for_images(real, synthetic, asked):
        found = assess_images(real, synthetic, asked | {"--model": model}, force=force, tell=say)
    elif time is not None:
        found = assess_visits(real, synthetic, reading, asked | {"--model": model})
    else:
        found = assess(
            read_table(real, reading), read_table(synthetic, reading), model=model,
            holdout=None if holdout is None else read_table(holdout, reading),
            target=target, schema=schema, patient=patient, seed=seed, audit=audit.value,
            groups=groups, rules=None if rules is None else Rules.read(rules), tell=say,
        )  # fmt: skip
    say("\n".join(found.summary()))
    _write(found, output, json, force)
    check_gates(found, limits)


def _check_asked(asked: dict[str, Any], real: Path, synthetic: Path) -> None:
    """Refuse what a report without records has no use for."""
    for name, value in asked.items():
        if value is not None:
            raise ConfigError(
                f"{name} does not go with --releasable, which compares nothing with records",
                hint="leave it out, or leave --releasable out for the internal report",
            )
    if real.resolve() == synthetic.resolve():
        raise ConfigError(
            "the synthetic table is the real one",
            hint="name the table that was drawn from the model, in the second place",
        )


def _releasable(synthetic: Path, reading: list[str] | None, model: Path | None) -> ReleasableReport:
    from synthehr.evaluation.releasable import NOT_CHECKED
    from synthehr.privacy.stated import warning_of
    from synthehr.release.releasable import of_file

    if model is None:
        raise ConfigError(
            "--releasable needs the model file that the table was drawn from",
            hint="name it with --model; it must have been fitted with --epsilon",
        )
    found = of_file(read_table(synthetic, reading), model)
    if warning := warning_of(found.ledger["epsilon"]):
        say(f"warning: {warning}")
    say("\n".join([*found.ledger["claim"], NOT_CHECKED]))
    return found


def _write(
    found: Report | ReleasableReport | VisitEvaluation | ImageEvaluation,
    output: Path,
    json: str | None,
    force: bool,
) -> None:
    found.to_html(output, force=force)
    if json == "-":
        put(found.to_json())
    elif json is not None:
        found.to_json(json, force=force)
    say(f"\nwrote {output}\nnext: open it in a browser")

"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SAFETY = "What may be learned"
RUN = "Run"
PRIVACY = "Differential privacy"


MODELS = (
    "auto, autoregressive, vae, gan, cgan, gain; of visits lstm, lstm-gan; of images image-ae, "
    "image-vae, image-gan, image-cgan, image-merf, cyclegan."
)


class Audit(StrEnum):
    """How hard the attacks of a report try."""

    quick = "quick"
    deep = "deep"


class OnText(StrEnum):
    """What to do with columns of free text."""

    refuse = "refuse"
    drop = "drop"


class Pii(StrEnum):
    """What to do with columns that look like direct identifiers."""

    drop = "drop"
    keep = "keep"
    surrogate = "surrogate"


Table = Annotated[
    Path, typer.Argument(help="The table: Parquet, CSV, Arrow or Feather.", show_default=False)
]
Tables = Annotated[
    list[Path],
    typer.Argument(
        metavar="TABLE [VISITS]",
        help="The table: Parquet, CSV, Arrow or Feather. With visits: their table, a table of "
        "patients and one of visits, or a folder. With images: a folder or .npz file.",
        show_default=False,
    ),
]
VisitTime = Annotated[
    str | None,
    typer.Option(
        "--time", metavar="COL", help="The column that tells when a visit was: learn visits."
    ),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A TOML file of settings.")]
Static = Annotated[
    str | None,
    typer.Option(
        "--static",
        metavar="COL,COL",
        help="Columns of visits that a patient has once; else those that never change within one.",
    ),
]
VisitFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="LAYOUT",
        help="Layout of visits in a folder: two-tables, wide, meds, omop, physionet2012 or "
        "physionet2019.",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels", metavar="TABLE", help="A table of what is known of each image in a folder."
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(
        "--image-column",
        metavar="COL",
        help="The column of file names of images: learn images by the other columns.",
    ),
]
ModelFile = Annotated[Path, typer.Argument(help="The model file.", show_default=False)]
TableOut = Annotated[
    str, typer.Option("--output", "-o", help="A .parquet or .csv file, or - for CSV on stdout.")
]
SchemaFile = Annotated[
    Path | None,
    typer.Option("--schema", help="A schema file, perhaps edited; else columns are inferred."),
]
RulesFile = Annotated[
    Path | None,
    typer.Option("--rules", help="A TOML file of rules that records keep."),
]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="KEY=VALUE",
        help="How a table is read: encoding, delimiter, nulls, decimal, dayfirst or infinity.",
    ),
]
Patient = Annotated[
    str | None, typer.Option("--patient", metavar="COL", help="The column that names the patient.")
]
Target = Annotated[
    str | None, typer.Option("--target", metavar="COL", help="The column to predict.")
]
Holdout = Annotated[
    float | None,
    typer.Option(
        "--holdout",
        help="Share of the patients that is set aside.",
        show_default="0.1; 0 with --epsilon",
    ),
]
MaxMinutes = Annotated[
    float | None, typer.Option("--max-minutes", help="Limit of the fit by the clock.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting, as train.steps=2000."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed; without one it is fresh, and told.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
OnTextOption = Annotated[
    OnText,
    typer.Option("--on-text", help="Refuse or drop columns of free text.", rich_help_panel=SAFETY),
]
PiiOption = Annotated[
    Pii | None,
    typer.Option(
        "--pii",
        help="Drop, keep or make up columns that look like names, numbers or addresses of people.",
        rich_help_panel=SAFETY,
    ),
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="NAME=VALUE",
        help="Exit with code 3 if this figure of the report is worse than the value.",
    ),
]
Epsilon = Annotated[
    float | None,
    typer.Option(
        "--epsilon",
        help="Differential privacy of the whole fit; needs --schema with bounds and levels.",
        rich_help_panel=PRIVACY,
    ),
]
Delta = Annotated[
    float | None,
    typer.Option(
        "--delta",
        help="The δ beside it.",
        show_default="below 1 / patients",
        rich_help_panel=PRIVACY,
    ),
]
PublicRows = Annotated[
    int | None,
    typer.Option(
        "--public-rows",
        metavar="N",
        help="About how many patients (records, where each is one) there are, in public.",
        show_default="measured",
        rich_help_panel=PRIVACY,
    ),
]
Discover = Annotated[
    bool,
    typer.Option(
        "--discover",
        help="Measure bounds and levels that the schema does not declare, at a price.",
        rich_help_panel=PRIVACY,
    ),
]


def names(text: str) -> list[str]:
    """Split a list of names at its commas; a comma within a name has a backslash before it."""
    parts = text.replace("\\,", "\0").split(",")
    return [part.strip().replace("\0", ",") for part in parts if part.strip()]

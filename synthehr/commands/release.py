"""`synthehr release`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say
from synthehr.commands.learning import Learned
from synthehr.commands.reading import read_table
from synthehr.commands.spending import note_spending
from synthehr.commands.visits import visit_data


def release(
    tables: options.Tables,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    schema: options.SchemaFile = None,
    reading: options.Read = None,
    model: Annotated[
        str,
        typer.Option("--model", help=options.MODELS),
    ] = "auto",
    patient: options.Patient = None,
    visit_time: options.VisitTime = None,
    visit_format: options.VisitFormat = None,
    static: options.Static = None,
    labels: options.Labels = None,
    image_column: options.ImageColumn = None,
    rules: options.RulesFile = None,
    target: options.Target = None,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows", "-n", help="How many records, or patients; by default as many as fitted."
        ),
    ] = None,
    max_minutes: options.MaxMinutes = None,
    seed: options.Seed = None,
    on_text: options.OnTextOption = options.OnText.refuse,
    pii: options.PiiOption = None,
    epsilon: options.Epsilon = None,
    delta: options.Delta = None,
    public_rows: options.PublicRows = None,
    discover: options.Discover = False,
    setting: options.Setting = None,
    fail_under: options.FailUnder = None,
    with_model: Annotated[
        bool, typer.Option("--with-model", help="Put the model file into the folder too.")
    ] = False,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Fit, sample, report, and write a folder to hand over if every gate holds.

    With --time of visits, or of images, in the layout that came in.
    """
    from synthehr.families import synthesizer_of
    from synthehr.gates import limits_of
    from synthehr.privacy.config import asked
    from synthehr.run.choices import settings_of

    once = None if static is None else options.names(static)
    what = Learned(tables, reading, visit_time, visit_format, once, labels, image_column)
    settings = settings_of(model, setting or (), family=what.family)
    synthesizer = synthesizer_of(what.family)(model, seed=seed, settings=settings)
    common: dict[str, Any] = {
        "schema": schema,
        "patient": patient,
        "target": target,
        "n": rows,
        "max_minutes": max_minutes,
        "on_text": on_text.value,
        "pii": None if pii is None else pii.value,
        "privacy": asked(epsilon, delta, public_rows, discover),
        "rules": rules,
        "limits": limits_of(fail_under or ()),
        "with_model": with_model,
        "force": force,
        "tell": say,
    }
    done = _released(what, output, synthesizer, common)
    if done["record"]["privacy"] is not None:
        note_spending(output, tables[-1], done["record"]["privacy"])
    if json:
        put_json(done)


def _released(
    what: Learned, output: Path, synthesizer: Any, common: dict[str, Any]
) -> dict[str, Any]:
    """Release records, or visits."""
    from synthehr.families import IMAGES, VISITS
    from synthehr.io.images import read_images
    from synthehr.release.images import release_images
    from synthehr.release.records import release as release_records
    from synthehr.release.visits import release_visits

    if what.family is IMAGES:
        path, column, who = what.tables[0], what.image_column, common["patient"]
        images = read_images(path, labels=what.labels, image_column=column, patient=who)
        return release_images(images, output, synthesizer, **common)
    if what.family is VISITS:
        data = visit_data(what.tables, what.reading)
        of_visits = {"time": what.time, "format": what.format, "static": what.static}
        return release_visits(data, output, synthesizer, **common, **of_visits)
    return release_records(read_table(what.tables[0], what.reading), output, synthesizer, **common)

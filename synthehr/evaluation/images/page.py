"""The evaluation of images as one self-contained HTML page: no script, no remote address."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from synthehr.evaluation import words
from synthehr.evaluation.html import environment, policy, style
from synthehr.evaluation.images.pictures import png, strip_of
from synthehr.evaluation.images.results import ImageResults, Sheet

SHOWN = 28
"""Images are shown at least this many times 2 pixels high."""

_FIGURES = (
    ("fidelity", "How like real images"),
    ("coverage", "How diverse"),
    ("utility", "What can be learned from them"),
    ("similarity", "Training images among them"),
)
_LADDER = ("frechet", "kid", "sliced_wasserstein", "precision", "density", "recall", "coverage")


def render(results: ImageResults) -> str:
    """Write the whole page; equal input gives equal text."""
    css = style("report.css", "images.css", "internal.css")
    whole = [metric for metric in results.rows if metric.column is None]
    return (
        environment()
        .get_template("images.html.j2")
        .render(
            by_section={
                section: [metric for metric in whole if metric.section == section]
                for section, _ in _FIGURES
            },
            contents=_FIGURES,
            css=Markup(css),
            facts=_facts(results),
            first=results.features[0],
            ladder=_ladder(results),
            ladder_names=_LADDER,
            no_verdict=words.NO_VERDICT,
            pixels=[metric for metric in results.rows if metric.column == "pixels"],
            policy=policy(css),
            read={
                verdict: [metric for metric in whole if words.reading(metric) == verdict]
                for verdict in words.READINGS
            },
            readings=words.READINGS,
            record=[
                ("seed of the evaluation", str(results.seed)),
                ("seconds of the evaluation", f"{results.seconds:.1f}"),
            ],
            results=results,
            sheets=[_drawn(sheet) for sheet in results.sheets],
            watermark=words.WATERMARK,
        )
    )


def _facts(results: ImageResults) -> list[tuple[str, str]]:
    images, patients = results.images, results.patients
    channels, height, width = results.shape
    facts = [
        ("Real images", words.count(images[0])),
        ("Synthetic images", words.count(images[1])),
        ("Held-out images", words.count(images[2]) if images[2] else "none"),
        ("Size", f"{height} × {width}" + (f" × {channels}" if channels > 1 else "")),
    ]
    if patients[0] != images[0]:
        facts.insert(0, ("Real patients", words.count(patients[0])))
    if results.class_names:
        facts.append(("Classes", words.count(len(results.class_names))))
    return facts


def _ladder(results: ImageResults) -> list[dict[str, Any]]:
    """Give one row a kind of features, with what they are and what they score."""
    found = {(metric.name, metric.column): metric for metric in results.rows}
    return [
        {
            "record": each,
            "figures": [found.get((name, each.name if k else None)) for name in _LADDER],
        }
        for k, each in enumerate(results.features)
    ]


def _drawn(sheet: Sheet) -> dict[str, Any]:
    """Draw each row of a sheet as one picture."""
    rows = []
    for k, images in enumerate(sheet.images):
        pixels = strip_of(images)
        times = max(1, 2 * SHOWN // pixels.shape[0])
        rows.append(
            {
                "caption": sheet.captions[k] if sheet.captions else "",
                "source": png(pixels),
                "width": pixels.shape[1] * times,
                "height": pixels.shape[0] * times,
                "said": f"{sheet.name}, row {k + 1}: {len(images)} images",
            }
        )
    return {"name": sheet.name, "rows": rows, "real": sheet.real}

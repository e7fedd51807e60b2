"""Parts of an evaluation that compare tables directly."""

from __future__ import annotations

import numpy as np

from synthehr.evaluation import fidelity
from synthehr.evaluation.coverage import alpha_beta, levels_of, rare_levels
from synthehr.evaluation.metric import Metric, bootstrap
from synthehr.evaluation.missingness import missingness
from synthehr.evaluation.results import Pairs
from synthehr.evaluation.sdmetrics_face import is_installed, sdmetrics_scores
from synthehr.evaluation.similarity import similarity
from synthehr.evaluation.task import Found, Task, figure, mean_of
from synthehr.evaluation.views import View

OUTLIER_ROWS = 5_000
OUTLIER_SHARE = 0.01
PAIR_COLUMNS = 150
SDMETRICS_CELLS = 5_000_000
SDMETRICS_COLUMNS = 60


def measure_fidelity(task: Task) -> Found:
    """Compare the distribution of every column and the dependence of every pair."""
    views, rng = task.views, task.rng("fidelity")
    real, synthetic, categorical = views.real, views.synthetic, views.categorical
    sizes = (task.trained.rows, task.unseen.rows), (real.rows, synthetic.rows)
    shape = fidelity.shapes(real, synthetic, categorical)
    top = fidelity.rescaled(fidelity.shapes(task.trained, task.unseen, categorical), *sizes)
    around = fidelity.interval(
        lambda a, b: mean_of(fidelity.shapes(a, b, categorical)),
        real,
        synthetic,
        mean_of(shape),
        rng,
    )
    said = f"Mean over {len(shape)} columns of 1 − KS or 1 − TV, {synthetic.rows} records."
    metrics = figure("fidelity", "shape", around, mean_of(top), "higher", said)
    columns = {"shape": list(shape), "shape_ceiling": list(top)}
    chosen = np.sort(rng.permutation(len(categorical))[:PAIR_COLUMNS])
    if len(chosen) < 2:
        return Found(metrics, columns)
    task.clock.cap("pairs of columns", len(chosen), len(categorical), "columns")
    is_category = categorical[chosen]
    a, b, c, d = (
        view if len(chosen) == len(categorical) else View(view.values[:, chosen], view.patients)
        for view in (real, synthetic, task.trained, task.unseen)
    )
    trend = fidelity.trends(a, b, is_category)
    best = fidelity.trends(c, d, is_category, strength=False)
    ceiling = fidelity.rescaled(best.score, *sizes)
    around = fidelity.interval(
        lambda x, y: fidelity.trends(x, y, is_category, strength=False).mean, a, b, trend.mean, rng
    )
    said = f"Mean agreement of {len(chosen) * (len(chosen) - 1) // 2} pairs of columns."
    metrics += figure(
        "fidelity", "trend", around, best._replace(score=ceiling).mean, "higher", said
    )
    pairs = Pairs(
        tuple(views.columns[j].name for j in chosen),
        np.logical_not(is_category[:, None] | is_category).astype(np.int8),
        trend.real,
        trend.synthetic,
        trend.score,
        ceiling,
    )
    return Found(metrics, columns, pairs)


def measure_missingness(task: Task) -> Found:
    """Compare null rates and patterns."""
    views, rng = task.views, task.rng("missingness")
    found = missingness(views.real, views.synthetic, rng)
    nulls = [np.isnan(view.values).mean(axis=0) for view in (views.real, views.synthetic)]
    columns = {"null_real": list(nulls[0]), "null_synthetic": list(nulls[1])}
    if found is None:
        task.clock.give_up("missingness", "no cell is null in either table")
        return Found(columns=columns)
    top = missingness(task.trained, task.unseen, rng)
    best = (0.0, 0.0, 1.0) if top is None else (top.largest.value, top.mean.value, top.patterns)
    said = "absolute difference of the share of null cells"
    return Found(
        (
            *figure("missingness", "null_share_error", found.largest, best[0], "lower",
                     f"Largest {said} over the columns."),
            *figure("missingness", "null_share_error_mean", found.mean, best[1], "lower",
                     f"Mean {said} over the columns with nulls."),
            *figure("missingness", "null_patterns", found.patterns, best[2], "higher",
                     "Mean over pairs of columns of 1 − TV of which of the two are null."),
        ),
        columns,
    )  # fmt: skip


def measure_coverage(task: Task) -> Found:
    """Look for rare levels, and for records that are implausible or missing."""
    views, rng = task.views, task.rng("coverage")
    real, synthetic, categorical = views.real, views.synthetic, views.categorical
    levels = {int(j): levels_of(real, synthetic, int(j)) for j in np.flatnonzero(categorical)}
    bands = rare_levels(list(levels.values()), synthetic.rows)
    total = sum(band.levels for band in bands)
    metrics: tuple[Metric, ...] = ()
    if total:
        covered = sum(band.covered for band in bands) / total
        top = sum(band.levels * (band.covered_ceiling or 0.0) for band in bands) / total
        said = f"Share of {total} levels held by 10 patients or more and 5 % or less of records."
        metrics = figure("coverage", "rare_levels_held", covered, top, "higher", said)
    of = [levels.get(j) for j in range(len(categorical))]
    columns = {
        "levels": [None if each is None else len(each.real) for each in of],
        "levels_covered": [
            None if each is None else int((each.synthetic > 0).sum()) for each in of
        ],
    }
    found = alpha_beta(real, synthetic, categorical, rng)
    best = alpha_beta(task.trained, task.unseen, categorical, rng)
    if found is not None:
        top = (None, None) if best is None else (best.precision.value, best.recall.value)
        said = "agreement with the diagonal over all α, no learned embedding."
        metrics += figure(
            "coverage",
            "alpha_precision",
            found.precision,
            top[0],
            "higher",
            f"Synthetic records inside the spheres of the real ones: {said}",
        )
        metrics += figure("coverage", "beta_recall", found.recall, top[1], "ceiling",
                           f"Real records with a synthetic neighbour: {said}")  # fmt: skip
    return Found(metrics, columns, rare_levels=bands)


def measure_outliers(task: Task) -> Found:
    """Count the records that the model itself finds unlikely; no record is named."""
    score, holdout = task.informed.get("loss"), task.views.holdout
    if score is None or holdout is None:
        return Found()
    rng = task.rng("outliers")
    views = {"holdout": holdout, "synthetic": task.views.synthetic, "real": task.views.real}
    chosen = {
        name: np.sort(rng.permutation(view.rows)[:OUTLIER_ROWS]) for name, view in views.items()
    }
    line = np.quantile(score("holdout", chosen["holdout"]), OUTLIER_SHARE)
    below = score("synthetic", chosen["synthetic"]) < line
    real = float((score("real", chosen["real"]) < line).mean())
    groups = views["synthetic"].patients[chosen["synthetic"]]
    share = bootstrap(lambda w: float(np.average(below, weights=w)), groups, rng)
    said = (
        f"Share of {len(below)} synthetic records that the model finds less likely than "
        f"{1 - OUTLIER_SHARE:.0%} of the held-out ones; beside it, of training records."
    )
    return Found(figure("coverage", "outliers", share, real, "ceiling", said))


def measure_similarity(task: Task) -> Found:
    """Compare distances to training with distances to held-out records."""
    views, clock = task.views, task.clock
    if views.holdout is None:
        clock.give_up("similarity to the training records", "no held-out records were given")
        return Found()
    if not clock.allows(0.75):
        clock.too_late("similarity to the training records")
        return Found()
    found = similarity(views, task.rng("similarity"))
    if found is None:
        clock.give_up("similarity to the training records", "a table has fewer than 20 patients")
        return Found()
    unit = "patients" if views.grouped else "records"
    most = min(views.real.n_patients, views.holdout.n_patients)
    clock.cap("similarity", found.reference, most, f"training {unit}, and held-out ones")
    clock.cap("similarity", found.used, views.synthetic.n_patients, f"synthetic {unit}")
    sizes = f"{found.used} synthetic {unit}, {found.reference} training and held-out ones."
    return Found(
        (
            *figure("similarity", "exact_copies", found.exact, found.exact_ceiling.value,
                     "lower", f"Share of synthetic {unit} with a record equal to a training one."),
            *figure("similarity", "near_copies", found.near, found.near_ceiling.value, "lower",
                     f"Share nearer to training than 99 % of held-out {unit} are; {sizes}"),
            *figure("similarity", "nearer_to_training", found.nearer, 0.5, "ceiling",
                     f"Share nearer to training than to held-out {unit}; {sizes}"),
            *figure("similarity", "distance_ratio", found.distance_ratio,
                     found.distance_ratio_ceiling.value, "ceiling",
                     f"Median of nearest over second nearest distance to training; {sizes}"),
        )
    )  # fmt: skip


def measure_sdmetrics(task: Task) -> Found:
    """Run SDMetrics' reports where they are installed, there is time and the table is small."""
    views, clock = task.views, task.clock
    part = "SDMetrics' own reports"
    cells = (views.real.rows + views.synthetic.rows) * len(views.columns)
    if not is_installed():
        clock.give_up(part, "the package sdmetrics is not installed")
    elif cells > SDMETRICS_CELLS or len(views.columns) > SDMETRICS_COLUMNS:
        clock.give_up(part, "the table is large; shape and trend say the same")
    elif not clock.allows(0.7):
        clock.too_late(part)
    else:
        found = sdmetrics_scores(views.columns, views.real, views.synthetic)
        best = sdmetrics_scores(views.columns, task.trained, task.unseen)
        metrics: tuple[Metric, ...] = ()
        for name, value, top in zip(found._fields, found, best, strict=True):
            report = "QualityReport" if name in ("shapes", "trends") else "DiagnosticReport"
            said = f"SDMetrics {report}, ceiling not corrected for size."
            metrics += figure("diagnostic", f"sdmetrics_{name}", value, top, "higher", said)
        return Found(metrics)
    return Found()

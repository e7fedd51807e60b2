"""Shadow models: what the same model makes of a patient it saw, and of one it did not.

A patient's score under the model file means little by itself, since some patients are
likely under any model. Shadow models, fitted with the same settings on random halves of all real
patients, tell what score each patient gets with and without having been trained on.

References
----------
Carlini et al., 2022, arXiv:2112.03570.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.artifact import Artifact
from synthehr.errors import ConfigError
from synthehr.evaluation.attacks.candidates import SYNTHETIC
from synthehr.evaluation.attacks.guesses import NEIGHBOURS
from synthehr.evaluation.embedding import closest, embed, scale_of
from synthehr.evaluation.prepare import MOST_ROWS, prepare
from synthehr.evaluation.task import generator_of
from synthehr.io import Source
from synthehr.modes.given import wished
from synthehr.run.choices import Options
from synthehr.run.drawing import draw
from synthehr.run.fitting import prepare as prepare_fit
from synthehr.run.fitting import run
from synthehr.run.informed import likelihoods
from synthehr.split import held_out, patients_of
from synthehr.train import find_runtime

if TYPE_CHECKING:
    from synthehr.evaluation.task import Informed, Which

SHADOWS = 8
"""Shadow models that are trained; every second has the patients that the one before lacks."""

_SMALL = 1e-3


class Shadow(NamedTuple):
    """A shadow model, what it drew, and which records (N,) it was fitted on."""

    artifact: Artifact
    synthetic: pa.Table
    inside: NDArray[np.bool_]


Scorer = Callable[[Artifact, pa.Table, NDArray[np.int64]], NDArray[np.float64] | None]
"""Scores records (n,) of all real ones, given a model and what it drew; (n,), or None."""


def shadow_attacks(
    artifact: Artifact,
    synthetic: Any,
    real: pa.Table,
    holdout: pa.Table,
    *,
    seed: int = 0,
    shadows: int = SHADOWS,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Informed]:
    """Train shadow models, and calibrate membership attacks by them.

    Parameters
    ----------
    artifact : Artifact
        The model that is attacked.
    synthetic : path or table
        What it drew.
    real, holdout : Table
        What it was fitted on, and what was held out.
    seed : int
        Seed of the halves and of the fits.
    shadows : int
        How many models are trained, an even number.
    tell : callable
        Is told how far the work is.

    Returns
    -------
    dict of str to callable
        The attacks by name, see `synthehr.evaluation.evaluate`.

    Raises
    ------
    ConfigError
        If the table is too large, or the model was fitted under differential privacy.
    """
    everyone = pa.concat_tables([real, holdout])
    if artifact.record.get("privacy") is not None:
        raise ConfigError(
            "shadow models of a fit under differential privacy are not offered",
            hint="use --audit quick; the ledger bounds every attack",
        )
    if everyone.num_rows > MOST_ROWS:
        raise ConfigError(
            f"--audit deep takes at most {MOST_ROWS} real records",
            hint="use --audit quick, which takes any number",
        )
    trained = []
    for k, inside in enumerate(_halves(everyone, artifact.schema.patient, seed, shadows)):
        tell(f"training shadow model {k + 1} of {shadows}")
        trained.append(_trained(artifact, everyone, inside, _seed(seed, k)))
    first = {"real": 0, "holdout": real.num_rows}

    def attack(scorer: Scorer) -> Informed:
        def scores(which: Which, rows: NDArray[np.int64]) -> NDArray[np.float64]:
            places = rows + first[which]
            own = scorer(artifact, synthetic, places)
            found = [scorer(shadow.artifact, shadow.synthetic, places) for shadow in trained]
            known = [each for each in found if each is not None]
            if own is None or len(known) < len(trained):
                return np.zeros(len(rows))
            inside = np.stack([shadow.inside[places] for shadow in trained])
            return calibrated(own, np.stack(known), inside)

        return scores

    def likely(model: Artifact, _: Any, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        return likelihoods(model, everyone.take(pa.array(rows)))

    def dense(model: Artifact, drawn: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        views = prepare(everyone, drawn, schema=artifact.schema).views
        scale = scale_of(views.real, views.categorical)
        points = embed(views.real.take(rows), scale, views.categorical)
        some = views.synthetic.sample(SYNTHETIC, generator_of(seed, "shadows"))
        among = embed(some, scale, views.categorical)
        found = closest(points, among, min(NEIGHBOURS, len(among)))
        return -np.log(found.distances.mean(axis=1) + _SMALL)

    attacks: dict[str, Informed] = {"calibrated density": attack(dense)}
    if likelihoods(artifact, real.slice(0, 2)) is not None:
        attacks["calibrated loss"] = attack(likely)
    return attacks


def calibrated(
    scores: NDArray[np.float64], shadows: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Log-ratio of scores (n,) under normal distributions with and without the record; (n,).

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Scores under the model that is attacked.
    shadows : ndarray of shape (K, n)
        Scores under each shadow model.
    inside : ndarray of shape (K, n), bool
        Whether the shadow model was fitted on the record.

    Notes
    -----
    With few shadow models one variance is shared by all records, as the paper advises. A record
    without a shadow model of either sort scores 0.
    """
    counts = np.stack([(~inside).sum(axis=0), inside.sum(axis=0)])
    sums = np.stack([(shadows * ~inside).sum(axis=0), (shadows * inside).sum(axis=0)])
    without, with_it = sums / np.maximum(counts, 1)
    residual = shadows - np.where(inside, with_it, without)
    freedom = np.maximum(counts - 1, 0).sum()
    variance = (residual**2).sum() / max(freedom, 1) + 1e-12
    ratio = ((scores - without) ** 2 - (scores - with_it) ** 2) / (2 * variance)
    return np.where(counts.min(axis=0) > 0, ratio, 0.0)


def _seed(seed: int, k: int) -> int:
    return int(generator_of(seed, "shadows", 1, k).integers(2**53))


def _halves(
    table: pa.Table, patient: str | None, seed: int, shadows: int
) -> list[NDArray[np.bool_]]:
    """Draw halves of the patients, each followed by its complement; (N,) each."""
    found = patients_of(table, patient)
    patients = np.arange(table.num_rows) if found is None else found
    rng, halves = generator_of(seed, "shadows", 0), []
    for _ in range(shadows // 2):
        chosen = rng.permutation(int(patients.max()) + 1) % 2 == 0
        halves += [chosen[patients], ~chosen[patients]]
    return halves


def _trained(artifact: Artifact, table: pa.Table, half: NDArray[np.bool_], seed: int) -> Shadow:
    """Fit the same model on some records, with steps in proportion to their number."""
    record, mine = artifact.record, table.filter(pa.array(half))
    fitted = record["records"] - record["held_out_records"]
    training = dict(record["training"])
    training["betas"] = tuple(training["betas"])
    share = mine.num_rows * (1 - record["holdout"]) / fitted
    training["steps"] = max(1, round(training["steps"] * min(1.0, share)))
    settings = {
        "model": asdict(artifact.config), "train": training, "encode": record["encoding"],
    }  # fmt: skip
    options = Options(
        model=type(artifact.model), seed=seed, settings=settings, holdout=record["holdout"]
    )
    prepared = prepare_fit(Source(mine, None, ()), artifact.schema, options)
    shadow, _ = run(prepared, find_runtime(None))
    aside = held_out(
        mine.num_rows, patients_of(mine, artifact.schema.patient), options.share_held_out, seed
    )
    inside = half.copy()
    inside[half] = ~aside
    n = min(SYNTHETIC, table.num_rows)
    drawn = pa.concat_tables(draw(shadow, wished(shadow, n, None), seed))
    return Shadow(shadow, drawn, inside)

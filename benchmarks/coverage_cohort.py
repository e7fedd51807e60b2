"""Simulate a cohort, take cells away, fill them 20 times, and pool what is estimated.

    python coverage_cohort.py WHO --records 1000 --seed 0 [--options '--set …']

WHO is a model of ours; or `iterative`, scikit-learn's IterativeImputer with draws from its
posterior; or `whole`, nothing missing; or `cases`, records with holes dropped.

Systolic pressure, creatinine and body mass index lack cells of the older patients above all,
three in ten; age is complete. Prints JSON: for each quantity estimate, interval and truth, and
whether it is in.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthehr import Synthesizer, pool
from synthehr.demo import simulate
from synthehr.run.choices import settings_of

DRAWS = 20
HOLES = ("systolic", "creatinine", "bmi")
LEFT_OUT = ["patient_id", "admitted", "hba1c", "lactate"]
TRUTH_RECORDS, TRUTH_SEED = 200_000, 999

Floats = NDArray[np.float64]
Estimate = tuple[float, float]
"""An estimate and its variance."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("who")
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", default="")
    options = parser.parse_args()
    whole = cohort(options.records, options.seed)
    holes = with_holes(whole, options.seed)
    started = time.perf_counter()
    filled = completed(options.who, whole, holes, options.seed, shlex.split(options.options))
    seconds = time.perf_counter() - started
    true = cohort(TRUTH_RECORDS, TRUTH_SEED)
    quantities = {}
    for name, quantity in QUANTITIES.items():
        estimates = np.array([quantity(table) for table in filled])
        if len(filled) == 1:
            ((middle, variance),) = estimates
            reach = 1.96 * variance**0.5
            low, high = middle - reach, middle + reach
        else:
            pooled = pool(estimates[:, 0], estimates[:, 1])
            middle, low, high = pooled.estimate, pooled.low, pooled.high
        truth, _ = quantity(true)
        quantities[name] = {
            "estimate": float(middle),
            "low": float(low),
            "high": float(high),
            "truth": truth,
            "covered": bool(low <= truth <= high),
        }
    print(json.dumps({"seconds": round(seconds, 2), "quantities": quantities}))


def cohort(records: int, seed: int) -> pd.DataFrame:
    """Simulated admissions that hold all that is asked about."""
    table = simulate(records, seed=seed).drop_columns(LEFT_OUT).to_pandas()
    return table.dropna(subset=["age", "systolic", "creatinine"]).reset_index(drop=True)


def with_holes(whole: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Take cells of the older away more often: missing at random, given age."""
    rng = np.random.default_rng(seed)
    standing = (whole.age - whole.age.mean()) / whole.age.std()
    chance = 1 / (1 + np.exp(0.95 - standing))
    holes = whole.copy()
    for name in HOLES:
        holes.loc[rng.random(len(whole)) < chance, name] = np.nan
    return holes


def completed(
    who: str, whole: pd.DataFrame, holes: pd.DataFrame, seed: int, words: list[str]
) -> list[pd.DataFrame]:
    """Fill the holes, as often as it takes."""
    if who == "whole":
        return [whole]
    if who == "cases":
        return [holes.dropna(subset=list(HOLES))]
    if who == "iterative":
        return iterative(holes, seed)
    settings = settings_of(who, [word for word in words if word != "--set"])
    model = Synthesizer(who, seed=seed, settings=settings).fit(holes)
    return model.impute(holes, draws=DRAWS, seed=seed)


def iterative(holes: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
    """Chained Bayesian regressions on numbers and indicators of levels."""
    import_module("sklearn.experimental.enable_iterative_imputer")
    from sklearn.impute import IterativeImputer

    wide = pd.get_dummies(holes, drop_first=True, dtype=float).astype(float)
    return [
        pd.DataFrame(
            IterativeImputer(random_state=seed * DRAWS + draw, sample_posterior=True).fit_transform(
                wide
            ),
            columns=wide.columns,
        )
        for draw in range(DRAWS)
    ]


def mean_of(name: str) -> Callable[[pd.DataFrame], Estimate]:
    def estimate(table: pd.DataFrame) -> Estimate:
        cells = table[name].to_numpy(float)
        return float(cells.mean()), float(cells.var(ddof=1) / len(cells))

    return estimate


def slope_of(name: str, by: str) -> Callable[[pd.DataFrame], Estimate]:
    """Slope of an ordinary regression on one column."""

    def estimate(table: pd.DataFrame) -> Estimate:
        y, x = table[name].to_numpy(float), table[by].to_numpy(float)
        x = x - x.mean()
        slope = float(x @ y / (x @ x))
        rest: Floats = y - y.mean() - slope * x
        return slope, float(rest @ rest / (len(y) - 2) / (x @ x))

    return estimate


QUANTITIES = {
    "mean systolic": mean_of("systolic"),
    "mean creatinine": mean_of("creatinine"),
    "slope systolic on age": slope_of("systolic", "age"),
    "slope creatinine on age": slope_of("creatinine", "age"),
}

if __name__ == "__main__":
    main()

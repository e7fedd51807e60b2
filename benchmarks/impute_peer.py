"""Fill the holes of a table by a rival, in the rival's own environment.

    python impute_peer.py NAME HOLES.parquet POINT.parquet DRAW.parquet --seed 0

mean        means and most frequent levels
hotdeck     a value of another record, column by column
iterative   scikit-learn's IterativeImputer: Bayesian ridge, draws by sample_posterior
knn         scikit-learn's KNNImputer
missforest  random forests in turn, by IterativeImputer (Stekhoven and Buehlmann 2012)
miceforest  miceforest, boosted trees with predictive mean matching
hyperimpute, hyperimpute-gain, hyperimpute-miwae
            hyperimpute: the best of several learners for each column in turn; and its GAIN, MIWAE

Levels are numbered for those that know numbers only, and rounded back. Prints JSON: seconds of
the fit with the point estimates, and of a draw.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Filled = tuple[pd.DataFrame, pd.DataFrame]
"""Point estimates, and a draw."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=RIVALS)
    for name in ("holes", "point", "draw"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    table = pd.read_parquet(options.holes)
    started = time.perf_counter()
    point, draw = RIVALS[options.name](table, options.seed)
    seconds = time.perf_counter() - started
    point.to_parquet(options.point)
    draw.to_parquet(options.draw)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"peer": options.name, "seconds": round(seconds, 2), "peak_mib": peak}))


def numbered(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, pd.Index]]:
    """Number the levels of a table, null as NaN."""
    levels, columns = {}, {}
    for name in table.columns:
        cells = table[name]
        if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
            columns[name] = cells.astype(float).to_numpy(dtype=float, na_value=np.nan)
            continue
        codes, levels[name] = pd.factorize(cells, sort=False)
        columns[name] = np.where(codes < 0, np.nan, codes)
    return pd.DataFrame(columns), levels


def spelled(values: Any, table: pd.DataFrame, levels: dict[str, pd.Index]) -> pd.DataFrame:
    """Undo `numbered`, rounding to the nearest level; cells that were there stay."""
    columns = {}
    for at, name in enumerate(table.columns):
        filled = values[:, at]
        if name in levels:
            places = np.clip(np.rint(filled), 0, len(levels[name]) - 1).astype(int)
            made = pd.Series(np.asarray(levels[name])[places], dtype=object)
            columns[name] = table[name].astype(object).where(table[name].notna(), made)
        else:
            there = table[name].astype(float)
            columns[name] = there.where(there.notna(), filled)
    return pd.DataFrame(columns)


def mean(table: pd.DataFrame, seed: int) -> Filled:
    """Means and most frequent levels, whatever the record."""
    number, levels = numbered(table)
    for name in number.columns:
        cells = number[name]
        middle = cells.mode().iloc[0] if name in levels else cells.mean()
        number[name] = cells.fillna(middle)
    made = spelled(number.to_numpy(), table, levels)
    return made, made


def hotdeck(table: pd.DataFrame, seed: int) -> Filled:
    """Values of other records: right margins, nothing else."""
    rng = np.random.default_rng(seed)
    number, levels = numbered(table)
    for name in number.columns:
        cells = number[name].to_numpy().copy()
        gone = np.isnan(cells)
        cells[gone] = rng.choice(cells[~gone], gone.sum())
        number[name] = cells
    made = spelled(number.to_numpy(), table, levels)
    return made, made


def iterative(table: pd.DataFrame, seed: int) -> Filled:
    # it is there only once its door is opened
    import_module("sklearn.experimental.enable_iterative_imputer")
    from sklearn.impute import IterativeImputer

    number, levels = numbered(table)
    point, draw = (
        IterativeImputer(random_state=seed, sample_posterior=sample).fit_transform(number)
        for sample in (False, True)
    )
    return spelled(point, table, levels), spelled(draw, table, levels)


def knn(table: pd.DataFrame, seed: int) -> Filled:
    from sklearn.impute import KNNImputer

    number, levels = numbered(table)
    spread: Any = number.std()
    spread = spread.replace(0, 1)
    made = KNNImputer().fit_transform(number / spread) * spread.to_numpy()
    filled = spelled(made, table, levels)
    return filled, filled


def missforest(table: pd.DataFrame, seed: int) -> Filled:
    """Forests of regression for numbers, of classification for levels, in turn."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    number, levels = numbered(table)
    gone: Any = number.isna()
    filled: Any = number.fillna(number.mean())
    for name in levels:
        filled[name] = number[name].fillna(number[name].mode().iloc[0])
    order = gone.sum().sort_values().index
    for _ in range(4):
        for name in order:
            if not gone[name].any():
                continue
            kind: Any = RandomForestClassifier if name in levels else RandomForestRegressor
            forest = kind(
                100, random_state=seed, n_jobs=-1, min_samples_leaf=5, max_features="sqrt"
            )
            others = filled.drop(columns=name)
            forest.fit(others[~gone[name]], number.loc[~gone[name], name])
            filled.loc[gone[name], name] = forest.predict(others[gone[name]])
    made = spelled(filled[table.columns].to_numpy(), table, levels)
    return made, made


def miceforest(table: pd.DataFrame, seed: int) -> Filled:
    """Five data sets of four rounds; levels are drawn by their chances.

    Its default, mean matching on log odds, ends in an error where a forest is certain.
    """
    mf = import_module("miceforest")

    number, levels = numbered(table)
    for name in levels:
        number[name] = number[name].astype("category")
    kernel = mf.ImputationKernel(
        number,
        num_datasets=5,
        mean_match_strategy=dict.fromkeys(levels, "fast"),
        random_state=seed,
    )
    kernel.mice(4)
    completed = [kernel.complete_data(place) for place in range(5)]
    whole = pd.DataFrame({
        name: (
            pd.concat([one[name].astype(float) for one in completed], axis=1).mode(axis=1)[0]
            if name in levels
            else sum(one[name].astype(float) for one in completed) / 5
        )
        for name in table.columns
    })  # fmt: skip
    first = completed[0].astype(float)
    return (
        spelled(whole.to_numpy(), table, levels),
        spelled(first[table.columns].to_numpy(), table, levels),
    )


def hyperimpute(table: pd.DataFrame, seed: int, plugin: str = "hyperimpute") -> Filled:
    imputers = import_module("hyperimpute.plugins.imputers")

    number, levels = numbered(table)
    made = imputers.Imputers().get(plugin, random_state=seed).fit_transform(number)
    filled = spelled(np.asarray(made, dtype=float), table, levels)
    return filled, filled


RIVALS: dict[str, Callable[[pd.DataFrame, int], Filled]] = {
    "mean": mean,
    "hotdeck": hotdeck,
    "iterative": iterative,
    "knn": knn,
    "missforest": missforest,
    "miceforest": miceforest,
    "hyperimpute": hyperimpute,
    "hyperimpute-gain": partial(hyperimpute, plugin="gain"),
    "hyperimpute-miwae": partial(hyperimpute, plugin="miwae"),
}

if __name__ == "__main__":
    main()

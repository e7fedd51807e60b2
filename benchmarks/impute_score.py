"""Score completed tables against the truth.

    python impute_score.py TRUTH.parquet HOLES.parquet POINT.parquet DRAW.parquet [--target COL]
        [--test TEST.parquet]

Prints JSON: over the cells that were taken away, `nrmse` (root of the mean square of the point
estimates' errors in standard deviations of the column, mean over numeric columns), `pfc` (share
of point estimates of levels that are wrong, mean over columns), `energy` (energy distance between
completed and true records, standardised, of one draw; Szekely and Rizzo 2013,
doi:10.1016/j.jspi.2013.03.018), and `auroc` of boosted trees trained on the draw.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST = 3_000
"""Records that distances are computed for."""
TREES = 200


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("truth", "holes", "point", "draw"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--target", default="")
    parser.add_argument("--test", type=Path, default=None)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    truth, holed = pd.read_parquet(options.truth), pd.read_parquet(options.holes)
    point, draw = pd.read_parquet(options.point), pd.read_parquet(options.draw)
    # What nobody knows is not judged.
    draw = draw.where(truth.notna())
    chosen = holed.isna() & truth.notna()
    found = errors(truth, point, chosen)
    rows = np.flatnonzero(chosen.any(axis=1))
    found["energy"] = energy_distance(truth, draw, rows)
    if options.target and options.test is not None:
        found["auroc"] = downstream(draw, pd.read_parquet(options.test), options.target)
    found["unfilled"] = int((draw.isna() & chosen).to_numpy().sum())
    print(json.dumps({name: round(value, 5) for name, value in found.items()}))


def is_number(column: Any) -> bool:
    """Whether differences between cells mean something."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def errors(truth: pd.DataFrame, point: pd.DataFrame, chosen: pd.DataFrame) -> dict[str, float]:
    """Error of the point estimates."""
    numbers, levels = [], []
    for name in truth.columns:
        mask = chosen[name].to_numpy()
        if not mask.any():
            continue
        if is_number(truth[name]):
            real = truth[name].astype(float)
            spread = real.std()
            off = point[name].astype(float).to_numpy()[mask] - real.to_numpy()[mask]
            if spread > 0:
                numbers.append(float(np.sqrt(np.nanmean(off**2)) / spread))
        else:
            same = (
                point[name].astype(str).to_numpy()[mask] == truth[name].astype(str).to_numpy()[mask]
            )
            levels.append(1.0 - float(same.mean()))
    return {
        "nrmse": float(np.mean(numbers)) if numbers else float("nan"),
        "pfc": float(np.mean(levels)) if levels else float("nan"),
    }


def energy_distance(truth: pd.DataFrame, draw: pd.DataFrame, rows: NDArray[np.int64]) -> float:
    """Distance between the distributions of true and of completed records; 0 is best."""
    from scipy.spatial.distance import cdist, pdist

    rows = np.random.default_rng(0).permutation(rows)
    half = min(MOST, len(rows) // 2)
    one, two = _laid_out(truth, draw, rows[:half], rows[half : 2 * half])
    return float(2 * cdist(one, two).mean() - pdist(one).mean() - pdist(two).mean())


def _laid_out(
    truth: pd.DataFrame, draw: pd.DataFrame, first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lay true records and completed ones of others out as numbers of equal weight a column."""
    one, two = [], []
    for name in truth.columns:
        real, made = truth[name].iloc[first], draw[name].iloc[second]
        if is_number(truth[name]):
            mean, spread = float(truth[name].mean()), float(truth[name].std()) or 1.0
            for part, cells in ((one, real), (two, made)):
                values = (cells.astype(float).to_numpy() - mean) / spread
                part.append(np.nan_to_num(values, nan=0.0)[:, None])
            continue
        levels: Any = truth[name].astype(str).value_counts().index[:50]
        for part, cells in ((one, real), (two, made)):
            part.append((cells.astype(str).to_numpy()[:, None] == levels.to_numpy()) / np.sqrt(2))
    return np.hstack(one), np.hstack(two)


def downstream(draw: pd.DataFrame, test: pd.DataFrame, target: str) -> float:
    """AUROC on complete records of boosted trees that learned from completed ones."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    both = pd.concat([draw, test[draw.columns]], ignore_index=True)
    features = both.drop(columns=target)
    for name in features.columns:
        if not is_number(features[name]):
            features[name] = pd.factorize(features[name].astype(str))[0].astype(float)
    labels = pd.factorize(both[target].astype(str), sort=True)[0]
    values = features.astype(float).to_numpy()
    n = len(draw)
    model = HistGradientBoostingClassifier(max_iter=TREES, random_state=0)
    chances = model.fit(values[:n], labels[:n]).predict_proba(values[n:])
    if chances.shape[1] == 2:
        return float(roc_auc_score(labels[n:], chances[:, 1]))
    return float(roc_auc_score(labels[n:], chances, multi_class="ovr"))


if __name__ == "__main__":
    main()

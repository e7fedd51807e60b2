"""Make the tasks of forecasting and imputation from test patients, and score what came back.

    python longitudinal_tasks.py make SPLIT FOLDER
    python longitudinal_tasks.py score SPLIT FOLDER

`make` writes history.parquet and future.parquet (test patients of at least twelve visits, cut in
the middle: the next six visits are to be forecast), and holes.parquet (all test patients, a tenth
of the numbers that were measured taken away, at random).

`score` reads forecast.parquet (a row for each patient and `step`: medians by the columns' names,
ends of bands with `_low_95` and `_high_95`) and filled.parquet, where they are there, and prints
JSON. Errors are mean absolute ones in
standard deviations of the training visits: of forecasts the mean over numbers, as forecasts are of
each; of imputation over all cells, as TSI-Bench has it (arXiv:2406.12747). Beside them stand the
last value carried forward, a line through what the patient had (forecast) or between its
neighbours (imputation), and the median of the training visits. `forecast_covered` is how many
measured values lie in the 95 % band.
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

from longitudinal_visits import Keys, numbers_of, read_visits, static_of

STEPS = 6
FEWEST_VISITS = 12
HIDDEN = 0.1
FEWEST_POINTS = 3
Floats = NDArray[np.float64]
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("make", "score"))
    parser.add_argument("split", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    keys = Keys.of(options.split)
    train = read_visits(options.split / "train.parquet", keys)
    names = [name for name in numbers_of(train, keys) if name not in static_of(train, keys)]
    if options.action == "make":
        make(pd.read_parquet(options.split / "test.parquet"), options.folder, keys, names)
    else:
        print(json.dumps(score(train, options.folder, keys, names)))


def make(test: pd.DataFrame, folder: Path, keys: Keys, names: list[str]) -> None:
    """Write histories, what follows them, and visits with holes; types stay as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for answer in ("forecast", "filled"):
        (folder / f"{answer}.parquet").unlink(missing_ok=True)
    test = test.sort_values([keys.patient, keys.time], kind="stable").reset_index(drop=True)
    history, future = cut(test, keys)
    holes = test.copy()
    for name, chosen in hidden(test, names, seed=0).items():
        holes[name] = holes[name].mask(pd.Series(chosen, holes.index))
    tables = {"history": history, "future": future, "holes": holes, "whole": test}
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)


def cut(frame: Any, keys: Keys) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Halve the visits of patients who have enough of them, and keep the next ones."""
    by = frame.groupby(keys.patient, sort=False)
    visits: Any = by[keys.time].transform("size")
    place: Any = by.cumcount()
    half, enough = visits // 2, visits >= FEWEST_VISITS
    history = frame[enough & (place < half)]
    future = frame[enough & (place >= half) & (place < half + STEPS)]
    return history.reset_index(drop=True), future.reset_index(drop=True)


def hidden(frame: pd.DataFrame, names: list[str], seed: int) -> dict[str, NDArray[np.bool_]]:
    """Choose the measured cells to take away."""
    rng = np.random.default_rng(seed)
    return {
        name: frame[name].notna().to_numpy() & (rng.random(len(frame)) < HIDDEN) for name in names
    }


def score(train: pd.DataFrame, folder: Path, keys: Keys, names: list[str]) -> Figures:
    """Score what is there."""
    found: Figures = {}
    if (folder / "forecast.parquet").exists():
        history, future = (
            read_visits(folder / f"{name}.parquet", keys) for name in ("history", "future")
        )
        drawn = pd.read_parquet(folder / "forecast.parquet")
        found |= forecast_figures(train, history, future, drawn, keys, names)
    if (folder / "filled.parquet").exists():
        whole, holes, filled = (
            read_visits(folder / f"{name}.parquet", keys) for name in ("whole", "holes", "filled")
        )
        found |= impute_figures(train, whole, holes, filled, keys, names)
    return found


def forecast_figures(
    train: pd.DataFrame,
    history: pd.DataFrame,
    future: pd.DataFrame,
    drawn: pd.DataFrame,
    keys: Keys,
    names: list[str],
) -> Figures:
    """Errors of the draws' median and of what is simple, and how often the band holds."""
    bands = quantiles(drawn, keys, names)
    place = [future[keys.patient], future.groupby(keys.patient).cumcount()]
    index = pd.MultiIndex.from_arrays(place)
    last, line = carried(history, future, train, keys, names)
    rows: dict[str, list[float]] = {"forecast": [], "last": [], "linear": []}
    covered, asked, missing = 0, 0, 0
    for at, name in enumerate(names):
        truth = future[name].to_numpy(float)
        seen = np.isfinite(truth)
        spread = float(train[name].std())
        if not seen.any() or not spread > 0:
            continue
        low, middle, high = (
            bands[share][name].reindex(index).to_numpy(float) for share in (0.025, 0.5, 0.975)
        )
        missing += int((seen & np.isnan(middle)).sum())
        guesses = {"forecast": np.where(np.isnan(middle), last[:, at], middle)}
        guesses |= {"last": last[:, at], "linear": line[:, at]}
        for word, guess in guesses.items():
            rows[word].append(float(np.abs(guess - truth)[seen].mean()) / spread)
        covered += int(((truth >= low) & (truth <= high))[seen].sum())
        asked += int(seen.sum())
    found = {f"{word}_mae": round(float(np.mean(errors)), 4) for word, errors in rows.items()}
    found["forecast_covered"] = round(covered / max(asked, 1), 4)
    # a value that is not forecast is the last one, and counts as not covered
    return found | {"forecast_missing": round(missing / max(asked, 1), 4)}


def quantiles(told: pd.DataFrame, keys: Keys, names: list[str]) -> dict[float, Any]:
    """Median and ends of the 95 % band of each number at each patient's next visits."""
    placed = told.set_index([told[keys.patient], told["step"] - 1])
    ends = {0.025: "_low_95", 0.5: "", 0.975: "_high_95"}
    return {
        share: placed[[f"{name}{end}" for name in names]].set_axis(names, axis=1)
        for share, end in ends.items()
    }


def carried(
    history: pd.DataFrame, future: pd.DataFrame, train: pd.DataFrame, keys: Keys, names: list[str]
) -> tuple[Floats, Floats]:
    """What is simple: the last value, and the line through all values, at each next visit."""
    by: Any = history.groupby(keys.patient)
    medians = train[names].median()
    last = by[names].last().reindex(future[keys.patient]).fillna(medians).to_numpy(float)
    lines = np.empty_like(last)
    when = future[keys.time].to_numpy(float)
    for at, name in enumerate(names):
        x: Any = history[name]
        t: Any = history[keys.time].where(x.notna()).astype(float)
        count, mean_x = by[name].count(), by[name].mean()
        mean_t: Any = t.groupby(history[keys.patient]).mean()
        off: Any = t - history[keys.patient].map(mean_t)
        square = (off * off).groupby(history[keys.patient]).sum()
        slope = (off * x).groupby(history[keys.patient]).sum() / square.where(square > 0)
        slope = slope.where(count >= FEWEST_POINTS)
        who = future[keys.patient]
        line = who.map(mean_x) + who.map(slope) * (when - who.map(mean_t))
        # a line that leaves what was ever seen is not believed
        line = line.clip(train[name].quantile(0.005), train[name].quantile(0.995))
        lines[:, at] = np.where(line.notna(), line, last[:, at])
    return last, lines


def impute_figures(
    train: pd.DataFrame,
    whole: pd.DataFrame,
    holes: pd.DataFrame,
    filled: pd.DataFrame,
    keys: Keys,
    names: list[str],
) -> Figures:
    """Errors over the cells that were taken away."""
    errors: dict[str, list[Floats]] = {"impute": [], "locf": [], "linear": [], "median": []}
    unfilled = 0
    for name in names:
        spread, median = float(train[name].std()), float(train[name].median())
        taken = (whole[name].notna() & holes[name].isna()).to_numpy()
        if not taken.any() or not spread > 0:
            continue
        truth = whole[name].to_numpy(float)[taken]
        made = filled[name].to_numpy(float)[taken]
        unfilled += int(np.isnan(made).sum())
        by = holes[name].groupby(holes[keys.patient])
        guesses = {
            "impute": np.where(np.isnan(made), median, made),
            "locf": by.ffill().fillna(median).to_numpy()[taken],
            "linear": between(holes, keys, name).fillna(median).to_numpy()[taken],
            "median": np.full(len(truth), median),
        }
        for word, guess in guesses.items():
            errors[word].append(np.abs(guess - truth) / spread)
    cells = max(sum(map(len, errors["impute"])), 1)
    found: Figures = {
        f"impute_{word}_mae" if word != "impute" else "impute_mae": round(
            float(np.concatenate(parts).sum()) / cells, 4
        )
        for word, parts in errors.items()
    }
    return found | {"impute_cells": cells, "impute_unfilled": round(unfilled / cells, 4)}


def between(frame: pd.DataFrame, keys: Keys, name: str) -> pd.Series:
    """Each cell on the line in time between its neighbours; the nearest one at the ends."""
    x, time = frame[name], frame[keys.time].astype(float)
    by = x.groupby(frame[keys.patient])
    before, after = by.ffill(), by.bfill()
    seen = time.where(x.notna()).groupby(frame[keys.patient])
    start, end = seen.ffill(), seen.bfill()
    share = ((time - start) / (end - start).where(end > start)).fillna(0)
    return (before + share * (after - before)).fillna(before).fillna(after)


if __name__ == "__main__":
    main()

"""Score synthetic visits by what can be done with them, beside the real ones.

    python longitudinal_score.py SPLIT SYNTHETIC.parquet [--target COL] [--further PARQUET …]

Prints JSON. `next_visit`: error of boosted trees that predict each number at the next visit from
the last ones measured, learned from synthetic visits, divided by that of trees learned from real
ones; both are tested on real test patients. With a target, which is constant in each patient:
`tstr` and `trtr`, AUROC on real test patients of boosted trees on each patient's summaries,
learned from synthetic and from real patients, and `tstr_drop`, their difference, with 95 %
intervals over bootstrapped patients. For simulated visits: `truth`, every estimate with the known
truth and with its overlap with the interval that the real visits give (Karr et al. 2006,
doi:10.1198/000313006X124640), pooled over SYNTHETIC and the further samples of the same model.

`score_seq.py` beside the repository says the rest; this depends on nothing of our evaluation.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longitudinal_visits import Keys, numbers_of, read_visits, static_of

MOST_ROWS = 15_000
MOST_NUMBERS = 12
FEWEST = 50
TREES = 100
DRAWS = 500
SUMMARIES = ("mean", "sd", "min", "max", "first", "last", "slope", "count", "missing")

Figures = dict[str, Any]
Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("split", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--target", default="")
    parser.add_argument("--further", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    keys = Keys.of(options.split)
    train, test = (read_visits(options.split / f"{n}.parquet", keys) for n in ("train", "test"))
    made = read_visits(options.synthetic, keys)
    found = next_visit(train, test, made, keys, options.target)
    if options.target:
        found |= outcome(train, test, made, keys, options.target)
    found |= known_truth(options.split / "train.parquet", [options.synthetic, *options.further])
    print(json.dumps(found))


def summaries(frame: pd.DataFrame, keys: Keys, names: list[str]) -> pd.DataFrame:
    """One row a patient: `SUMMARIES` of every number, how many visits, and over what time."""
    by = frame.groupby(keys.patient, sort=True)
    visits = by.size()
    time: Any = frame[keys.time] - by[keys.time].transform("min")
    time_by: Any = by[keys.time]
    parts = {"visits": visits, "span": time_by.max() - time_by.min()}
    for name in names:
        x = frame[name].astype(float)
        group = x.groupby(frame[keys.patient])
        count = group.count()
        seen = time.where(x.notna())
        t = seen - seen.groupby(frame[keys.patient]).transform("mean")
        square = (t * t).groupby(frame[keys.patient]).sum()
        product = (t * (x - group.transform("mean"))).groupby(frame[keys.patient]).sum()
        made = (
            group.mean(), group.std(), group.min(), group.max(), group.first(), group.last(),
            product / square.where(square > 0), count, 1 - count / visits,
        )  # fmt: skip
        parts |= {f"{name} {word}": one for word, one in zip(SUMMARIES, made, strict=True)}
    return pd.DataFrame(parts)


def outcome(
    train: pd.DataFrame,
    test: pd.DataFrame,
    made: pd.DataFrame,
    keys: Keys,
    target: str,
    *,
    trees: int = TREES,
    draws: int = DRAWS,
) -> Figures:
    """AUROC of what real and what synthetic patients teach on a target."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    static = [name for name in static_of(train, keys) if name != target]
    names = [name for name in numbers_of(train, keys) if name not in (target, *static)]
    tables, labels = [], []
    for frame in (train, made, test):
        rows = summaries(frame, keys, names)
        first = frame.groupby(keys.patient, sort=True)[[*static, target]].first()
        tables.append(rows.join(first[static]))
        labels.append(first[target].astype(str))
    coded = _coded(tables)
    positive = labels[0].value_counts().index[-1]
    truths = [(label == positive).to_numpy() for label in labels]
    chances = []
    for place in (0, 1):
        if truths[place].all() or not truths[place].any():
            chances.append(np.zeros(len(truths[2])))
            continue
        model = HistGradientBoostingClassifier(max_iter=trees, learning_rate=0.05, random_state=0)
        model.fit(coded[place], truths[place])
        chances.append(model.predict_proba(coded[2])[:, 1])
    return _compared(truths[2], chances[0], chances[1], draws)


def _coded(tables: list[pd.DataFrame]) -> list[Floats]:
    """Number the levels of texts alike in all tables."""
    both = pd.concat(tables, keys=range(len(tables)))
    for name in both.columns:
        if not pd.api.types.is_numeric_dtype(both[name]) or pd.api.types.is_bool_dtype(both[name]):
            both[name] = pd.factorize(both[name].astype(str), sort=True)[0]
    return [both.loc[place].to_numpy(float, na_value=np.nan) for place in range(len(tables))]


def _compared(truth: NDArray[np.bool_], real: Floats, made: Floats, draws: int) -> Figures:
    """Both areas, and what is lost, with intervals over the patients of the test."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    drawn = []
    while len(drawn) < draws and truth.any() and not truth.all():
        at = rng.integers(0, len(truth), len(truth))
        if truth[at].any() and not truth[at].all():
            drawn.append([roc_auc_score(truth[at], score[at]) for score in (real, made)])
    areas = np.array(drawn)
    areas = np.column_stack([areas, areas[:, 0] - areas[:, 1]])
    low, high = np.quantile(areas, [0.025, 0.975], axis=0)
    trtr, tstr = (float(roc_auc_score(truth, score)) for score in (real, made))
    found: Figures = {}
    for at, (name, value) in enumerate(
        (("trtr", trtr), ("tstr", tstr), ("tstr_drop", trtr - tstr))
    ):
        found[name] = round(value, 4)
        found[f"{name}_interval"] = [round(float(low[at]), 4), round(float(high[at]), 4)]
    return found


def next_visit(
    train: pd.DataFrame,
    test: pd.DataFrame,
    made: pd.DataFrame,
    keys: Keys,
    target: str = "",
    *,
    trees: int = TREES,
) -> Figures:
    """Error at the next visit after learning from synthetic visits, over that after real ones."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    names = [name for name in numbers_of(train, keys) if name != target]
    static = static_of(train, keys)
    names = [name for name in names if name not in static]
    names = sorted(names, key=lambda name: -int(train[name].notna().sum()))[:MOST_NUMBERS]
    asked = [_pairs(frame, keys, names) for frame in (train, made, test)]
    ratios = {}
    for at, name in enumerate(names):
        errors = []
        seen = [np.isfinite(future[:, at]) for _, future in asked]
        if min(map(np.sum, seen)) < FEWEST:
            continue
        past, future = asked[2]
        for place in (0, 1):
            x, y = asked[place][0][seen[place]], asked[place][1][seen[place], at]
            rows = np.random.default_rng(0).permutation(len(y))[:MOST_ROWS]
            model = HistGradientBoostingRegressor(
                loss="absolute_error", max_iter=trees, random_state=0
            )
            model.fit(x[rows], y[rows])
            guessed = model.predict(past[seen[2]])
            errors.append(float(np.abs(guessed - future[seen[2], at]).mean()))
        if errors[0] > 0:
            ratios[name] = errors[1] / errors[0]
    if not ratios:
        return {}
    return {
        "next_visit": round(float(np.mean([*ratios.values()])), 4),
        "next_visit_by": {name: round(ratio, 3) for name, ratio in ratios.items()},
    }


def _pairs(frame: pd.DataFrame, keys: Keys, names: list[str]) -> tuple[Floats, Floats]:
    """What is known at a visit, and the numbers of the next one."""
    by = frame.groupby(keys.patient, sort=False)
    known = by[names].ffill()
    known["visit"] = by.cumcount()
    known["gap"] = by[keys.time].shift(-1) - frame[keys.time]
    last = ~frame[keys.patient].duplicated(keep="last").to_numpy()
    future = by[names].shift(-1)
    return known.to_numpy(float)[~last], future.to_numpy(float)[~last]


def known_truth(real: Path, made: Sequence[Path]) -> Figures:
    """Estimates from simulated visits beside their truth; nothing for other visits."""
    import pyarrow.parquet as pq

    from synthehr.demo import simulate_visits, visit_truth
    from synthehr.demo.visit_model import SLOPES, TIMED_LABS

    simulated = simulate_visits(1).column_names
    tables = [pq.read_table(path) for path in (real, *made)]
    if any(set(simulated) - set(table.column_names) for table in tables):
        return {}
    ours, *theirs = (visit_truth(table) for table in tables)
    found = {}
    for name in ours:
        one = pooled([sample[name] for sample in theirs])
        figures = {**one._asdict(), "error": one.error, "overlap": overlap(ours[name], one)}
        found[name] = {word: round(float(value), 4) for word, value in figures.items()}
    rules = [one["error"] for name, one in found.items() if name.split(":")[0] in TIMED_LABS]
    slopes = [one["overlap"] for name, one in found.items() if name.split(":")[0] in SLOPES]
    return {
        "truth": found,
        "rule_error": round(float(np.mean(rules)), 4),
        "rule_worst": round(float(np.max(rules)), 4),
        "slope_overlap": round(float(np.mean(slopes)), 4),
        "slope_worst": round(float(np.min(slopes)), 4),
    }


def pooled(estimates: Sequence[Any]) -> Any:
    """Put estimates from several samples of one model together.

    Their mean, and an interval for the population from which the real patients came: m samples
    as large as the real one have sqrt(1 + 1/m) times the width of one (Raab, Nowok and Dibben
    2016, doi:10.29012/jpc.v7i3.407). A single one stays as it is, as an analyst would take it.
    """
    if len(estimates) == 1:
        return estimates[0]
    value = float(np.mean([one.value for one in estimates]))
    square = float(np.mean([((one.high - one.low) / 2) ** 2 for one in estimates]))
    reach = float(np.sqrt(square * (1 + 1 / len(estimates))))
    return estimates[0]._replace(value=value, low=value - reach, high=value + reach)


def overlap(one: Any, other: Any) -> float:
    """Mean share of two intervals that lies in both; 0 where they are apart."""
    common = min(one.high, other.high) - max(one.low, other.low)
    widths = one.high - one.low, other.high - other.low
    if not np.isfinite(common) or min(widths) <= 0:
        return 0.0
    return max(0.0, float(np.mean([common / width for width in widths])))


if __name__ == "__main__":
    main()

"""Grow the rare class by a rival, in the rival's own environment.

    python rebalance_peer.py oversampling|smotenc|borderline|ctgan|tvae TRAIN OUT --ratio 0.5

SMOTE cannot take nulls: numbers get the median, levels one of their own. BorderlineSMOTE knows
numbers only, and works on one-hot levels, of which the largest counts. CTGAN is asked for the
rare class by its condition and what it draws of the other class is left out; TVAE, which has
none, learns from the rare class alone. Everything else is the package's default.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MISSING = "<missing>"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("oversampling", "smotenc", "borderline", "ctgan", "tvae"))
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ratio", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    table = pd.read_parquet(options.train)
    table = table.astype({c: float for c in table.columns if table[c].dtype.kind in "iufb"})
    wanted = round(options.ratio * (table["rare"] == "no").sum()) - (table["rare"] == "yes").sum()
    started = time.perf_counter()
    if options.name == "oversampling":
        rare = table[table["rare"] == "yes"]
        added = rare.sample(wanted, replace=True, random_state=options.seed)
        grown = pd.concat([table, added], ignore_index=True)
    elif options.name in ("smotenc", "borderline"):
        grown = _smote(table, options.name, options.ratio, options.seed)
    else:
        grown = _network(table, options.name, wanted, options.seed)
    seconds = time.perf_counter() - started
    grown.to_parquet(options.out, index=False)
    print(json.dumps({"seconds": round(seconds, 2), "added": len(grown) - len(table)}))


def _filled(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    x = table.drop(columns="rare")
    levels = [name for name in x if x[name].dtype.kind not in "iuf"]
    for name in x:
        if name in levels:
            x[name] = x[name].astype(object).where(x[name].notna(), MISSING).astype(str)
        else:
            x[name] = x[name].fillna(x[name].median())
    return x, levels


def _smote(table: pd.DataFrame, name: str, ratio: float, seed: int) -> pd.DataFrame:
    over = import_module("imblearn.over_sampling")
    x, levels = _filled(table)
    few = {"sampling_strategy": ratio, "random_state": seed}
    if name == "smotenc" and levels and len(levels) < x.shape[1]:
        sampler: Any = over.SMOTENC([x.columns.get_loc(level) for level in levels], **few)
        grown, label = sampler.fit_resample(x, table["rare"])
    else:
        coded = pd.get_dummies(x, columns=levels, prefix_sep="\0", dtype=float)
        spread: Any = coded.std()
        scale = spread.replace(0, 1)
        kind = over.SMOTE if name == "smotenc" else over.BorderlineSMOTE
        sampler = kind(**few)
        grown, label = sampler.fit_resample(coded / scale, table["rare"])
        grown = grown * scale
        for level in levels:
            names = [each for each in coded if each.startswith(f"{level}\0")]
            best = np.array([each.split("\0")[1] for each in names])
            grown[level] = best[grown[names].to_numpy().argmax(1)]
            grown = grown.drop(columns=names)
    grown = grown[list(x.columns)]
    for level in levels:
        grown[level] = grown[level].where(grown[level] != MISSING, None)
    return pd.concat([table, grown.assign(rare=label).iloc[len(table) :]], ignore_index=True)


def _network(table: pd.DataFrame, name: str, wanted: int, seed: int) -> pd.DataFrame:
    ctgan = import_module("ctgan")
    x, levels = _filled(table)
    x["rare"] = table["rare"].to_numpy()
    discrete = [*levels, "rare"]
    if name == "tvae":
        model: Any = ctgan.TVAE()
        model.set_random_state(seed)
        model.fit(x[x["rare"] == "yes"].reset_index(drop=True), discrete)
        added = model.sample(wanted)
    else:
        model = ctgan.CTGAN()
        model.set_random_state(seed)
        model.fit(x, discrete)
        parts, found = [], 0
        for _ in range(50):
            drawn = model.sample(max(wanted, 1000), "rare", "yes")
            parts.append(drawn[drawn["rare"] == "yes"])
            found += len(parts[-1])
            if found >= wanted:
                break
        added = pd.concat(parts).head(wanted)
    added = added.assign(rare="yes")
    for level in levels:
        added[level] = added[level].where(added[level] != MISSING, None)
    return pd.concat([table, added], ignore_index=True)


if __name__ == "__main__":
    main()

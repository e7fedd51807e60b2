"""Fit one rival under differential privacy and sample from it, in the rival's own environment.

    python dp_peer.py mostly-dp|smartnoise-dpctgan TRAIN.parquet OUT.parquet --eps 3

Prints a JSON line like `shared/measure/peer.py`, which does the same for dpmm. All rivals are
handed bounds and levels as public, so that the whole budget goes to the model; δ is 1e-5, and
everything else is the package's default. What their claims leave out is not judged here.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

DELTA = 1e-5


class Fitted(NamedTuple):
    """How to sample a fitted rival, and the ε that it says it spent."""

    sample: Callable[[int], pd.DataFrame]
    spent: float | None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=RIVALS)
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--eps", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    table = plain(pd.read_parquet(options.train))
    fit = RIVALS[options.name]
    # imports are no part of a fit's seconds
    modules = {name: import_module(name) for name in IMPORTS[options.name]}
    started = time.perf_counter()
    fitted = fit(table, modules, options.eps, options.seed)
    between = time.perf_counter()
    made = fitted.sample(len(table))[list(table.columns)]
    ended = time.perf_counter()
    made.to_parquet(options.out)
    said = {
        "peer": options.name,
        "fit_s": round(between - started, 1),
        "sample_s": round(ended - between, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "eps": options.eps,
        "eps_spent": fitted.spent,
    }
    print(json.dumps(said))


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """NumPy's dtypes in the place of pandas' own: floats where a number is missing."""
    made = {}
    for name in table:
        column = table[name]
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            texts = column.astype("string").astype(object)
            made[name] = texts.where(column.notna(), None)
        elif bool(column.isna().any()):
            made[name] = column.astype("Float64").astype("float64")
        else:
            made[name] = column.astype(str(column.dtype).lower())
    return pd.DataFrame(made)


def fit_mostly(table: pd.DataFrame, modules: dict[str, Any], epsilon: float, seed: int) -> Fitted:
    """mostlyai-engine: DP-SGD with its default noise multiplier, until ε is reached."""
    engine = modules["mostlyai.engine"]
    place = Path(tempfile.mkdtemp())
    engine.set_random_state(seed)
    engine.split(workspace_dir=place, tgt_data=table, model_type="TABULAR")
    # without value protection ranges and levels are taken as they are, which is free here
    engine.analyze(workspace_dir=place, value_protection=False)
    engine.encode(workspace_dir=place)
    private = {"max_epsilon": epsilon, "delta": DELTA}
    engine.train(workspace_dir=place, differential_privacy=private)

    def sample(rows: int) -> pd.DataFrame:
        engine.generate(workspace_dir=place, sample_size=rows)
        return pd.read_parquet(place / "SyntheticData")

    (log,) = place.rglob("progress-messages.csv")
    told = pd.read_csv(log)
    kept = told.loc[told["is_checkpoint"] == 1, "dp_eps"]
    return Fitted(sample, float(kept.iloc[-1]) if len(kept) else None)


def fit_smartnoise(
    table: pd.DataFrame, modules: dict[str, Any], epsilon: float, seed: int
) -> Fitted:
    """DP-CTGAN of smartnoise-synth; its discriminator sets torch's seed to 0, whatever we set."""
    synth, transform = modules["snsynth"], modules["snsynth.transform"]
    # what its sampler draws from
    import_module("numpy.random").seed(seed)
    transformers = []
    for name in table:
        column = table[name]
        nullable = bool(column.isna().any())
        if pd.api.types.is_numeric_dtype(column):
            lower, upper = float(column.min()), float(column.max())
            transformers.append(
                transform.MinMaxTransformer(lower=lower, upper=upper, nullable=nullable)
            )
        else:
            label = transform.LabelTransformer(nullable=nullable)
            transformers.append(transform.ChainTransformer([label, transform.OneHotEncoder()]))
    model = synth.Synthesizer.create("dpctgan", epsilon=epsilon, delta=DELTA, verbose=False)
    model.fit(table, transformer=transform.TableTransformer(transformers), preprocessor_eps=0.0)

    def sample(rows: int) -> pd.DataFrame:
        made = model.sample(rows)
        for name in table:
            if pd.api.types.is_integer_dtype(table[name]):
                made[name] = made[name].astype(float).round().astype(table[name].dtype)
        return made

    spent = model.epsilon_list
    return Fitted(sample, round(float(spent[-1]), 4) if spent else None)


RIVALS: dict[str, Callable[[pd.DataFrame, dict[str, Any], float, int], Fitted]] = {
    "mostly-dp": fit_mostly,
    "smartnoise-dpctgan": fit_smartnoise,
}
IMPORTS = {
    "mostly-dp": ("mostlyai.engine",),
    "smartnoise-dpctgan": ("snsynth", "snsynth.transform", "snsynth.pytorch.nn.dpctgan"),
}


if __name__ == "__main__":
    main()

"""Train classifiers on a grown table, and judge them on records as they are.

    python rebalance_score.py TRAIN.parquet GROWN.parquet TEST.parquet [--weights]

Prints one JSON line: for logistic regression and boosted trees AUROC, average precision,
balanced accuracy at .5, Brier score, slope and intercept of calibration, and the last three
again once the class shares before growing are put back.
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
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Vector = NDArray[np.float64]
MOST_LEVELS, REST = 200, "<rest>"
"""scikit-learn's boosted trees take 255 levels at most."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("grown", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--weights", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    train, grown, test = (
        pd.read_parquet(path) for path in (options.train, options.grown, options.test)
    )
    grown = grown.drop(columns="synthetic", errors="ignore")
    weight = "balanced" if options.weights else None
    share = float((train["rare"] == "yes").mean())
    seen = 0.5 if options.weights else float((grown["rare"] == "yes").mean())
    truth = (test["rare"] == "yes").to_numpy()
    found: dict[str, Any] = {"share": round(share, 4), "share_grown": round(seen, 4)}
    for name, model in (("logistic", _logistic(weight)), ("boosting", _boosting(weight))):
        x, x_test = _alike(grown.drop(columns="rare"), test.drop(columns="rare"))
        model.fit(x, grown["rare"] == "yes")
        chance = model.predict_proba(x_test)[:, 1]
        restored = chance * share / seen
        restored = restored / (restored + (1 - chance) * (1 - share) / (1 - seen))
        found[name] = {
            "auroc": roc_auc_score(truth, chance),
            "auprc": average_precision_score(truth, chance),
            "balanced_accuracy": balanced_accuracy_score(truth, chance >= 0.5),
            **_calibration(truth, chance),
            **{f"restored_{key}": value for key, value in _calibration(truth, restored).items()},
        }
        found[name] = {key: round(float(value), 4) for key, value in found[name].items()}
    print(json.dumps(found))


def _alike(x: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give both tables floats and categories of the same levels."""
    x, test = x.copy(), test.reindex(columns=x.columns)
    for name in x:
        if test[name].dtype.kind in "iufb":
            x[name], test[name] = x[name].astype(float), test[name].astype(float)
        else:
            texts = [each[name].dropna().astype(str) for each in (x, test)]
            levels = sorted(pd.concat(texts).value_counts().head(MOST_LEVELS).index.tolist())
            for each, text in zip((x, test), texts, strict=True):
                shown = text.where(text.isin(levels), REST).reindex(each.index)
                each[name] = pd.Categorical(shown, [*levels, REST])
    return x, test


def _logistic(weight: str | None) -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    levels = OneHotEncoder(handle_unknown="ignore")
    both = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (levels, make_column_selector(dtype_include="category")),
    )
    return make_pipeline(both, LogisticRegression(max_iter=2000, class_weight=weight))


def _boosting(weight: str | None) -> Any:
    return HistGradientBoostingClassifier(
        categorical_features="from_dtype", random_state=0, class_weight=weight
    )


def _calibration(truth: NDArray[np.bool_], chance: Vector) -> dict[str, float]:
    """Brier score; slope and intercept of a logistic regression on the predicted log-odds."""
    inside = np.clip(chance, 1e-6, 1 - 1e-6)
    odds = np.log(inside / (1 - inside))
    line = LogisticRegression(C=np.inf).fit(odds[:, None], truth)
    ratio = inside.mean() / truth.mean()
    return {
        "brier": brier_score_loss(truth, chance),
        "slope": line.coef_[0, 0],
        "intercept": line.intercept_[0],
        "expected_over_observed": ratio,
    }


if __name__ == "__main__":
    main()

"""What estimators share: records as a data frame, and a model fitted on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from synthehr.synthesizer import Synthesizer

FEW = {"rare_patients": 2}
"""Nothing leaves the process, so that a level is learned from two records on."""


def as_frame(estimator: BaseEstimator, X: Any, *, reset: bool) -> pd.DataFrame:
    """Check records as scikit-learn does, and lay an array out as columns.

    Parameters
    ----------
    estimator : BaseEstimator
        It remembers the names and the number of columns.
    X : DataFrame or array of shape (n, d)
        Records, perhaps with holes.
    reset : bool
        Whether these are the columns to be remembered.
    """
    # scikit-learn's own annotations say that records are texts
    check: Any = validate_data
    if isinstance(X, pd.DataFrame):
        check(estimator, X, reset=reset, skip_check_array=True)
        return X.reset_index(drop=True)
    array: NDArray[Any] = check(
        estimator,
        X,
        reset=reset,
        dtype=None,
        ensure_all_finite="allow-nan",
        ensure_min_samples=2 if reset else 1,
    )
    names = pd.Index([f"x{place}" for place in range(array.shape[1])])
    frame = pd.DataFrame(array, columns=names)
    return frame.infer_objects() if array.dtype == object else frame


def like(frame: pd.DataFrame, X: Any) -> Any:
    """Give a frame as what X is: a frame, or an array of the same type."""
    if isinstance(X, pd.DataFrame):
        return frame
    return frame.to_numpy(dtype=np.asarray(X).dtype)


def fitted(
    frame: pd.DataFrame, model: str, settings: Mapping[str, Mapping[str, Any]] | None, seed: int
) -> Synthesizer:
    """Fit a synthesizer that stays in memory."""
    groups = {name: dict(group) for name, group in (settings or {}).items()}
    groups["encode"] = FEW | groups.get("encode", {})
    synthesizer = Synthesizer(model, seed=seed, settings=groups)
    return synthesizer.fit(frame, pii="keep", on_text="drop")

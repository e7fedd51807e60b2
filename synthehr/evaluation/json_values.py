"""Nested results as values that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from synthehr.evaluation.words import rounded


def json_values(value: Any, written: Callable[[float], float | None] = rounded) -> Any:
    """Turn nested values into what JSON holds; `written` rounds numbers or makes them None."""
    if isinstance(value, Mapping):
        return {str(key): json_values(item, written) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(item, written) for item in value]
    if isinstance(value, (float, np.floating)):
        return written(float(value))
    if isinstance(value, np.integer):
        return int(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def significant(value: float) -> float | None:
    """Round to seven digits; what is not a finite number becomes None."""
    return float(f"{value:.7g}") if math.isfinite(value) else None

"""Codes of a simulated table whose dependencies are known."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.encode.fields import Field, Fields

SEX, DIAGNOSIS, AGE, LAB, SITE = range(5)


def fields_of(codes: NDArray[np.int64]) -> Fields:
    """Fields of the table that `cohort` makes."""
    names = ("sex", "diagnosis", "age", "lab", "site")
    sizes = (2, 4, 8, 7, 12)
    found = []
    for i, (name, size) in enumerate(zip(names, sizes, strict=True)):
        shares = np.bincount(codes[:, 0, i], minlength=size) / len(codes)
        parts = np.ones(size, dtype=np.int64)
        null, positions, part_shares = None, None, None
        if name == "age":
            positions = ((np.arange(size) + 0.5) / size)[:, None]
        if name == "lab":
            null = 0
            parts = np.array([1, 1, 4, 4, 4, 4, 3])
            positions, part_shares = _cut(codes[:, :, i], parts)
        found.append(Field(name, shares, parts, null, positions, part_shares))
    return tuple(found)


def cohort(n: int, seed: int) -> NDArray[np.int64]:
    """Records in which the diagnosis hangs on the sex, and the lab value on the diagnosis.

    The lab column has null, an atom, four bins of four parts and one of three.
    """
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, n)
    diagnosis = np.where(rng.random(n) < 0.9, 2 * sex, 0) + rng.integers(0, 2, n)
    age = np.clip(2 * diagnosis + rng.integers(-1, 2, n), 0, 7)
    lab = np.where(rng.random(n) < 0.15, 0, 1 + np.clip(diagnosis + rng.integers(0, 3, n), 0, 5))
    parts = np.array([1, 1, 4, 4, 4, 4, 3])[lab]
    part = np.minimum((rng.random(n) ** 2 * parts).astype(np.int64), parts - 1)
    site = rng.integers(0, 12, n)
    codes = np.zeros((n, 2, 5), dtype=np.int64)
    codes[:, 0] = np.stack([sex, diagnosis, age, lab, site], 1)
    codes[:, 1, LAB] = part
    return codes


def tensor(codes: NDArray[np.int64]) -> Tensor:
    """Codes as the training loop takes them."""
    return torch.from_numpy(codes.astype(np.int16))


def _cut(codes: NDArray[np.int64], parts: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
    width = parts.max()
    counts = np.zeros((len(parts), width))
    np.add.at(counts, (codes[:, 0], codes[:, 1]), 1)
    part_shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    flat = counts[1:].ravel()
    ranks = ((np.cumsum(flat) - flat / 2) / flat.sum()).reshape(-1, width)
    positions = np.vstack([np.full((1, width), 0.5), ranks])
    last = np.take_along_axis(positions, parts[:, None] - 1, 1)
    return np.where(np.arange(width) < parts[:, None], positions, last), part_shares

"""How well experts told synthetic images from real ones, and how much they agree.

References
----------
Cohen, 1960, doi:10.1177/001316446002000104
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from os import PathLike
from pathlib import Path

import numpy as np

from synthehr.errors import InputError
from synthehr.evaluation.metric import Estimate, wilson

ORIGINS = ("real", "synthetic")


@dataclass(frozen=True)
class ReaderScore:
    """What one reader found; intervals are Wilson's.

    Attributes
    ----------
    reader : str
        As the answers name the reader.
    answered : int
        Images that were answered.
    accuracy : Estimate
        Share of right answers; 0.5 by guessing.
    sensitivity : Estimate
        Share of synthetic images that were called synthetic.
    specificity : Estimate
        Share of real images that were called real.
    """

    reader: str
    answered: int
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class ReadingScores:
    """What all readers found.

    Attributes
    ----------
    readers : tuple of ReaderScore
        One a file of answers.
    kappa : float or None
        Cohen's kappa, mean over pairs of readers, of the images that both answered: 0 by chance,
        1 where they always agree; None with one reader.
    items : int
        Images of the quiz.
    """

    readers: tuple[ReaderScore, ...]
    kappa: float | None
    items: int


def score_readings(
    key: str | PathLike[str], answers: Sequence[str | PathLike[str]]
) -> ReadingScores:
    """Score the answers that readers downloaded from a quiz.

    Parameters
    ----------
    key : path
        The key that was written beside the quiz.
    answers : sequence of path
        CSV files with the columns quiz, item, answer and, optionally, reader.

    Raises
    ------
    InputError
        If a file cannot be read, is of another quiz, or holds other answers than real and
        synthetic.
    """
    truth = _column(Path(key), "origin")
    readers, given = [], []
    for place, path in enumerate(map(Path, answers)):
        found = _column(path, "answer")
        strange = [item for item in found if item not in truth]
        if strange:
            raise InputError(
                f"{len(strange)} answers of {path.name} are of no image in the key",
                hint="give answers and key of the same quiz",
            )
        readers.append(_score(_reader(path) or f"reader {place + 1}", truth, found))
        given.append(found)
    pairs = [_kappa(a, b) for a, b in combinations(given, 2)]
    known = [each for each in pairs if not np.isnan(each)]
    return ReadingScores(tuple(readers), float(np.mean(known)) if known else None, len(truth))


def _score(reader: str, truth: dict[tuple[str, str], str], found: dict) -> ReaderScore:
    right = {origin: 0 for origin in ORIGINS}
    asked = {origin: 0 for origin in ORIGINS}
    for item, answer in found.items():
        asked[truth[item]] += 1
        right[truth[item]] += answer == truth[item]
    return ReaderScore(
        reader,
        len(found),
        wilson(sum(right.values()), len(found)),
        wilson(right["synthetic"], asked["synthetic"]),
        wilson(right["real"], asked["real"]),
    )


def _kappa(a: dict[tuple[str, str], str], b: dict[tuple[str, str], str]) -> float:
    both = sorted(set(a) & set(b))
    if not both:
        return float("nan")
    first, second = (np.array([each[item] == "synthetic" for item in both]) for each in (a, b))
    agreed = (first == second).mean()
    chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    return float((agreed - chance) / (1 - chance)) if chance < 1 else float("nan")


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(
            f"{path.name} cannot be read as a CSV file", hint="give a file of the quiz page"
        ) from None


def _column(path: Path, name: str) -> dict[tuple[str, str], str]:
    """Read a column of origins by quiz and item; what is empty is left out."""
    rows = _rows(path)
    if not rows or not {"quiz", "item", name} <= set(rows[0]):
        raise InputError(
            f"{path.name} lacks the columns quiz, item and {name}",
            hint="give the key, and the answers that the quiz page downloaded",
        )
    found = {}
    for row in rows:
        value = (row[name] or "").strip().lower()
        if not value:
            continue
        if value not in ORIGINS:
            raise InputError(
                f"{path.name} holds an {name} that is neither real nor synthetic",
                hint="leave images without an answer empty",
            )
        found[(row["quiz"], row["item"])] = value
    return found


def _reader(path: Path) -> str:
    rows = _rows(path)
    return (rows[0].get("reader") or "").strip() if rows else ""

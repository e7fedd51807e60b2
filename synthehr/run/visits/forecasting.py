"""What comes next: visits of given patients drawn many times, as medians and bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.artifact import SequenceArtifact
from synthehr.encode.axis import combined, encoded, from_axis, to_axis
from synthehr.encode.numeric import NumericColumn
from synthehr.errors import ConfigError
from synthehr.run.visits.given import GivenVisits, given_visits, random_of, some_patients
from synthehr.seeds import FORECAST, generator
from synthehr.train.runtime import find_runtime

AT_A_TIME = 16_384
"""Visits that are drawn side by side, at most."""
BANDS = (95, 80)
"""Bands around the median, in percent."""
STEP = "step"
"""The column that counts the forecast visits of a patient."""


def forecast(artifact: SequenceArtifact, data: Any, steps: int, draws: int, seed: int) -> pa.Table:
    """Draw what comes after the given visits, and say where the draws lie.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    data : path or table, two of them, a folder, or a VisitTable
        Patients and their visits so far, with the columns that were fitted.
    steps : int
        How many visits ahead. That a patient has no further visit is not drawn.
    draws : int
        How often each patient's visits are drawn.
    seed : int
        Equal seeds give equal forecasts.

    Returns
    -------
    pyarrow.Table
        A row for each patient and step: patient, ``step``, the median time, and of each column
        of visits what would be measured: a number's median and the ends of its 80 and 95 %
        bands (``_low_80`` and so on), the likeliest level and its share (``_share``).

    Raises
    ------
    SynthehrError
        A number is out of range, or the visits cannot be read as what was fitted.
    """
    if steps < 1 or draws < 2:
        raise ConfigError(
            "a forecast needs at least 1 step and 2 draws", hint="for example --steps 6"
        )
    given = given_visits(artifact, data)
    size = max(1, AT_A_TIME // draws)
    runtime = find_runtime("cpu")
    parts = []
    for block, start in enumerate(range(0, len(given.codes), size)):
        past = some_patients(given.codes, start, min(start + size, len(given.codes)))
        path = (seed, FORECAST, block)
        with runtime.autocast(runtime.precision("auto")):
            codes = artifact.model.proceed(past, steps, draws, random_of(*path))
        parts.append(_summary(artifact, given, start, codes.numpy(), generator(*path)))
    return pa.concat_tables(parts)


def _summary(
    artifact: SequenceArtifact,
    given: GivenVisits,
    start: int,
    codes: NDArray[np.int64],
    rng: np.random.Generator,
) -> pa.Table:
    """Say where draws, (P, draws, steps, 2, D), of the patients from `start` on lie."""
    encoder, table = artifact.encoder, given.visits.table
    patients, draws, steps = codes.shape[:3]
    visits = encoder.visits.decode(codes.reshape(-1, *codes.shape[3:]), rng)
    ends = given.visits.offsets()[1:][start : start + patients] - 1
    before = np.repeat(ends, draws)
    last = table[encoder.time].take(pa.array(before))
    paths = np.arange(patients * draws + 1) * steps
    times = encoder.clock.after(last, visits[encoder.time], paths)
    shape = (patients, draws, steps)
    who = table[encoder.patient].take(pa.array(np.repeat(ends, steps)))
    summed = {
        name: climb.after(
            climb.reached(table[name], name, given.visits.offsets()).take(pa.array(before)),
            visits[name],
            paths,
        )
        for name, climb in encoder.climbs.items()
    }
    columns: dict[str, Any] = {
        encoder.patient: who,
        STEP: pa.array(np.tile(np.arange(1, steps + 1, dtype=np.int32), patients)),
        encoder.time: _quantile(times, shape, 0.5),
    }
    for name in encoder.names:
        if name == encoder.time or name not in encoder.visits.plan:
            continue
        cells = combined(summed.get(name, visits[name]))
        if isinstance(encoder.visits.plan[name], NumericColumn):
            columns[name] = _quantile(cells, shape, 0.5)
            for band in BANDS:
                outside = (1 - band / 100) / 2
                columns[f"{name}_low_{band}"] = _quantile(cells, shape, outside)
                columns[f"{name}_high_{band}"] = _quantile(cells, shape, 1 - outside)
        else:
            columns[name], columns[f"{name}_share"] = _likeliest(cells, shape)
    return pa.table(columns)


def _quantile(cells: pa.Array, shape: tuple[int, int, int], place: float) -> pa.Array:
    """Quantile over draws, in the type of the column; whole numbers stay whole."""
    values = to_axis(cells, "").values.reshape(shape)
    found = np.quantile(values, place, axis=1, method="nearest").ravel()
    return from_axis(found, np.ones(len(found), dtype=bool), cells.type)


def _likeliest(cells: pa.Array, shape: tuple[int, int, int]) -> tuple[pa.Array, pa.Array]:
    """Give the level that most draws hold, and the share that does."""
    levels = encoded(cells)
    tokens = levels.indices.fill_null(-1).to_numpy(zero_copy_only=False).reshape(shape)
    counts = np.stack([(tokens == k).sum(1) for k in range(len(levels.dictionary))], -1)
    counts = counts.reshape(-1, counts.shape[-1])
    best = counts.argmax(1)
    return levels.dictionary.take(pa.array(best)), pa.array(counts.max(1) / shape[1])

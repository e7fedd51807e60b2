"""Windows of visits: what stands in them, what they cost, and patients made up of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synthehr.encode.fields import Field
from synthehr.encode.sequence import SequenceFields
from synthehr.models.base import Given
from synthehr.models.sequence_base import Sequences
from synthehr.privacy.pairs import PairMarginals
from synthehr.privacy.windows import (
    made_up_course,
    measure_windows,
    owners_of,
    window_codes,
    window_fields,
)


def field(name: str, size: int, *, null: bool) -> Field:
    positions = np.linspace(0.1, 0.9, size)[:, None]
    ones = np.ones(size, dtype=np.int64)
    return Field(name, np.full(size, 1 / size), ones, 0 if null else None, positions)


GAP, LAB, WARD = (
    field("gap", 3, null=True),
    field("lab", 4, null=True),
    field("ward", 3, null=False),
)
FIELDS = SequenceFields(
    static=(field("sex", 2, null=False),),
    visits=(GAP, LAB, WARD),
    gap=0,
    gaps=np.array([[0.0], [1.0], [2.0]], np.float32),
    origin=None,
    origins=np.zeros((1, 1), np.float32),
    elapsed=np.zeros(1, np.float32),
    mean_visits=2.0,
)


def patients(courses: list[list[tuple[int, int, int]]]) -> Sequences:
    """Patients by the tokens of gap, lab and ward of their visits."""
    tokens = torch.tensor([visit for course in courses for visit in course])
    lengths = torch.tensor([len(course) for course in courses])
    static = torch.tensor([[[n % 2], [0]] for n in range(len(courses))])
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return Sequences(static, torch.stack([tokens, torch.zeros_like(tokens)], dim=1), starts)


def at_random(n: int, seed: int = 0) -> Sequences:
    rng = np.random.default_rng(seed)
    return patients([
        [
            (0 if k == 0 else int(rng.integers(1, 3)), int(rng.integers(4)), int(rng.integers(3)))
            for k in range(rng.integers(1, 6))
        ]
        for _ in range(n)
    ])  # fmt: skip


def test_a_window_has_the_last_values_seen_of_its_own_patient() -> None:
    codes = window_codes(FIELDS, patients([[(0, 2, 1), (1, 0, 0), (2, 3, 2)], [(0, 0, 2)]]))
    # sex; gap, lab and ward as last seen (0 never, a ward one higher); gap, lab and ward
    assert codes[:, 0].tolist() == [
        [0, 0, 0, 0, 0, 2, 1],
        [0, 0, 2, 2, 1, 0, 0],
        [0, 1, 2, 1, 2, 3, 2],
        [1, 0, 0, 0, 0, 0, 2],
    ]


def test_fields_of_windows_hold_every_token() -> None:
    course = at_random(50)
    table = window_fields(FIELDS, course)
    tokens = window_codes(FIELDS, course)[:, 0].numpy()
    assert [each.size for each in table] == [2, 3, 4, 4, 3, 4, 3]
    for column, each in zip(tokens.T, table, strict=True):
        assert each.positions is not None
        assert column.max() < each.size == len(each.positions) == len(each.parts)
        np.testing.assert_allclose(each.shares.sum(), 1.0)


def test_a_patient_moves_every_pair_by_one_at_most() -> None:
    everyone, multiplier = at_random(40), 1e-9
    without = Sequences(
        everyone.static[:-1], everyone.visits[: everyone.starts[-2]], everyone.starts[:-1]
    )
    counted = [
        measure_windows(each, at_random(40, 1), FIELDS, rows=40, multiplier=multiplier)[0].pairs
        for each in (everyone, without)
    ]
    assert counted[0].columns == counted[1].columns
    for more, fewer in zip(counted[0].shares, counted[1].shares, strict=True):
        np.testing.assert_allclose(40 * np.abs(more - fewer).sum(), 1.0, atol=1e-4)


def test_a_column_is_counted_beside_itself_as_last_seen() -> None:
    windows, entry = measure_windows(
        at_random(400), at_random(400, 1), FIELDS, rows=400, multiplier=1e-6
    )
    once, each = 1, 3
    assert {(once + k, once + each + k) for k in range(each)} <= set(windows.pairs.columns)
    assert not any(once <= a < once + each and b != a + each for a, b in windows.pairs.columns)
    assert entry.what.endswith("pairs of columns of visits")
    assert isinstance(windows.pairs, PairMarginals)


class Climbing:
    """Draws windows in which the lab is one more than it was; it remembers what it was given."""

    def __init__(self) -> None:
        self.asked: list[Given] = []

    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        assert given.codes is not None and len(given.codes) == n
        self.asked.append(given)
        codes = given.codes.clone()
        codes[:, 0, 4] = torch.where(codes[:, 0, 4] == 0, 0, 1)
        codes[:, 0, 5] = codes[:, 0, 2] % 3 + 1
        codes[:, 0, 6] = 2
        return codes.clamp(min=0)


def test_patients_are_made_up_window_by_window() -> None:
    model = Climbing()
    static, lengths = torch.tensor([[[0], [0]], [[1], [0]]]), torch.tensor([3, 1])
    made = made_up_course(model, FIELDS, static, lengths, torch.Generator())
    assert made.starts.tolist() == [0, 3, 4]
    assert made.visits[:, 0].tolist() == [[0, 1, 2], [1, 2, 2], [1, 3, 2], [0, 1, 2]]
    assert owners_of(made).tolist() == [0, 0, 0, 1]
    assert [len(each.codes) for each in model.asked if each.codes is not None] == [2, 1, 1]
    first, later = model.asked[:2]
    assert first.codes is not None and later.codes is not None
    assert first.codes[:, 0, 1:4].eq(0).all() and not first.allowed
    assert later.codes[0, 0, :4].tolist() == [0, 0, 1, 3]
    # A later visit has a gap before it.
    assert later.allowed[4][:, 0].tolist() == [0.0, 1.0, 1.0]

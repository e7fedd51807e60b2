"""When visits end: by the time and by the number of visits, as of the fitted patients."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from encoded import encoded_visits
from torch import Tensor

from synthehr.models import SEQUENCE_MODELS, get_sequence
from synthehr.models.visit_ends import FEWEST, Reached, VisitEnds

TIMES, EVERY = 40, 4


def reached_by(lengths: Tensor, odds: float | None = None) -> Reached:
    """Visits of patients, at times that do not tell which of a patient's they are."""
    number = torch.cat([torch.arange(int(n)) + 1 for n in lengths])
    random = torch.Generator().manual_seed(0)
    time = torch.randint(TIMES // 2, (len(number),), generator=random) + number
    even = torch.tensor(len(lengths) / len(number)).logit() if odds is None else torch.tensor(odds)
    return Reached(time, number, even.expand(len(number)))


def ends_of(lengths: Tensor) -> VisitEnds:
    ends = VisitEnds(TIMES, float(lengths.float().mean()))
    ends.learn(reached_by(lengths))
    return ends


def lengths_of(*counts: int) -> Tensor:
    """So many patients of one visit, of two, and so on."""
    return torch.arange(1, len(counts) + 1).repeat_interleave(torch.tensor(counts))


def chances(ends: VisitEnds, reached: Reached) -> list[float]:
    """Mean chance of an end after each number of visits."""
    found = ends(reached.time, reached.number).sigmoid()
    numbers = range(1, int(reached.number.max()) + 1)
    return [float(found[reached.number == number].mean()) for number in numbers]


def test_odds_know_the_number_of_visits() -> None:
    lengths = lengths_of(0, 40, 0, 0, 160, 100)
    found = chances(ends_of(lengths), reached_by(lengths))
    assert found == pytest.approx([0, 40 / 300, 0, 0, 160 / 260, 1], abs=0.02)


def test_the_last_number_holds_for_any_beyond() -> None:
    ends = ends_of(lengths_of(0, 0, 50))
    assert ends(torch.tensor([5]), torch.tensor([10_000])).sigmoid() > 0.9


def test_ends_that_few_patients_share_are_not_told_apart() -> None:
    one, other = lengths_of(0, 2, 1, 0, 300), lengths_of(1, 0, 0, 1, 301)
    shares = [ends_of(each).shares(reached_by(each))[1] for each in (one, other)]
    assert shares[0].groups.tolist() == shares[1].groups.tolist() == [0, 0, 0, 0, 1]
    assert shares[0].last[0] < 0.001
    few = lengths_of(*[FEWEST // 2] * 8)
    groups = ends_of(few).shares(reached_by(few))[1].groups
    assert torch.bincount(groups).tolist() == [2] * 4


def test_raking_brings_the_expected_ends_to_those_wanted() -> None:
    lengths = lengths_of(30, 50, 20, 60, 40)
    ends = ends_of(lengths)
    wanted = ends.shares(reached_by(lengths))
    ends.by_number += 0.7 * torch.arange(len(ends.by_number)).remainder(2) - 1
    off = reached_by(lengths)
    ends.rake(wanted, off._replace(odds=ends(off.time, off.number)))
    assert chances(ends, off) == pytest.approx([0.15, 50 / 170, 20 / 120, 0.6, 1], abs=0.05)


@pytest.mark.parametrize("name", list(SEQUENCE_MODELS))
def test_patients_of_one_number_of_visits_are_drawn_with_it(name: str) -> None:
    rng = np.random.default_rng(0)
    days = rng.integers(1, 60, (60, EVERY)).cumsum(1)
    table = pa.table({
        "patient_id": np.arange(60).repeat(EVERY),
        "day": days.ravel(),
        "state": rng.choice(["a", "b"], 60 * EVERY),
    })  # fmt: skip
    encoder, records = encoded_visits(table)
    kind = get_sequence(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = kind.sized(encoder.fields, 60, {"hidden": 8, "width": 16, "blocks": 1})
        model = kind.build(encoder.fields, config)
    model.begin(records, torch.Generator().manual_seed(0))
    model.finish(records)
    drawn = model.sample(300, torch.Generator().manual_seed(1))
    assert (drawn.lengths == EVERY).float().mean() > 0.95

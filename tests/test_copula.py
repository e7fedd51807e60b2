"""The copula by which numeric tokens start: factors given gaps, and what it is for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from synthehr import Synthesizer
from synthehr.models.factors import Mix, first_guess, improved, nothing_seen, posterior

VALUES, FACTORS, N = 7, 3, 4_000


def some_mix(seed: int = 0) -> Mix:
    random = torch.Generator().manual_seed(seed)
    loadings = 0.5 * torch.randn(VALUES, FACTORS, generator=random)
    return Mix(torch.linspace(-1, 1, VALUES), loadings, torch.linspace(0.3, 0.9, VALUES))


def covariance(mix: Mix) -> torch.Tensor:
    return mix.loadings @ mix.loadings.T + torch.diag(mix.noises)


def drawn(mix: Mix, n: int = N) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    factors = torch.randn(n, FACTORS, generator=random)
    noise = torch.randn(n, VALUES, generator=random) * mix.noises.sqrt()
    return mix.means + factors @ mix.loadings.T + noise


def test_known_values_condition_the_others_as_a_normal_distribution_does() -> None:
    mix, x = some_mix(), drawn(some_mix(), 50)
    seen = (torch.rand(50, VALUES, generator=torch.Generator().manual_seed(2)) < 0.5).float()
    found, whole = posterior(mix, x * seen, seen), covariance(mix)
    for record in range(50):
        known, open_ = seen[record].bool(), ~seen[record].bool()
        solved = torch.linalg.solve(whole[known][:, known], whole[known][:, open_]).T
        mean = mix.means[open_] + solved @ (x[record] - mix.means)[known]
        variance = (whole[open_][:, open_] - solved @ whole[known][:, open_]).diagonal()
        for place, value in enumerate(open_.nonzero()[:, 0].tolist()):
            got_mean, got_variance = found.rows(torch.tensor([record])).predicted(mix, value)
            torch.testing.assert_close(got_mean[0], mean[place], rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(got_variance[0], variance[place], rtol=1e-3, atol=1e-4)


def test_values_that_come_one_by_one_say_the_same_as_all_at_once() -> None:
    mix, x = some_mix(), drawn(some_mix(), 200)
    seen = (torch.rand(200, VALUES, generator=torch.Generator().manual_seed(3)) < 0.6).float()
    wanted, found = posterior(mix, x * seen, seen), nothing_seen(mix, 200)
    for value in reversed(range(VALUES)):
        found = found.updated(mix, value, x[:, value], seen[:, value])
    torch.testing.assert_close(found.spread, wanted.spread, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.centre, wanted.centre, rtol=1e-3, atol=1e-4)


def test_what_is_missing_at_random_bends_no_estimate() -> None:
    true = some_mix()
    x, seen = drawn(true), torch.ones(N, VALUES)
    # the last value is seen where the first is small: its mean among those is far off
    seen[:, -1] = (x[:, 0] < true.means[0]).float()
    assert abs(x[seen[:, -1] == 1, -1].mean() - true.means[-1]) > 0.15
    mix = first_guess(x * seen, FACTORS)
    for _ in range(60):
        mix = improved(mix, x * seen, seen, torch.ones(N))
    assert abs(mix.means[-1] - true.means[-1]) < 0.08
    assert (covariance(mix) - covariance(true)).abs().max() < 0.12


def holed(n: int = 800) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    x = rng.normal(60, 15, n)
    frame = pd.DataFrame(
        {"x": x, "y": 100 + 0.6 * x + rng.normal(0, 12, n), "z": rng.normal(0, 1, n)}
    )
    gone = rng.random(n) < 1 / (1 + np.exp(-(x - 75) / 15))
    return frame, frame.assign(y=frame["y"].where(~gone))


def slope(frame: pd.DataFrame, rows: pd.Series) -> float:
    return float(np.polyfit(frame["x"][rows], frame["y"][rows], 1)[0])


def test_a_few_hundred_records_keep_their_slope_among_imputed_cells() -> None:
    frame, holes = holed()
    model = Synthesizer("autoregressive", seed=0).fit(holes)
    draws = model.impute(holes, draws=10, seed=0)
    gone = holes["y"].isna()
    slopes = [slope(draw, gone) for draw in draws]
    assert slope(frame, gone) - 0.12 < np.mean(slopes) < slope(frame, gone) + 0.12
    # Older cells are missing more often, and imputed ones are higher than those that are seen.
    middle = np.mean([draw["y"][gone].mean() for draw in draws])
    assert abs(middle - frame["y"][gone].mean()) < 2.5 < middle - holes["y"].mean()


def test_several_draws_differ_by_what_the_model_is_unsure_of() -> None:
    _, holes = holed(400)
    settings = {"train": {"steps": 30}}
    spread = []
    for estimates in (1, 21):
        settings["model"] = {"estimates": estimates}
        model = Synthesizer("autoregressive", seed=0, settings=settings).fit(holes)
        draws = model.impute(holes, draws=20, seed=0)
        spread.append(np.std([slope(draw, holes["y"].isna()) for draw in draws]))
    assert spread[1] > spread[0]

"""Time a step of a recurrent network: torch's, ours, ours under privacy, and Opacus' DPLSTM.

    python benchmarks/recurrent_step.py --patients 256 --visits 24 --inputs 40 --units 64

A layer and a linear head that predicts the next visit, one thread, AdamW; all four in turn, so
that a busy machine is busy for all of them. Milliseconds of the processor, and the lowest and
the median of them. Opacus lays gradients out patient by patient (its ghost clipping cannot run
a layer at several visits).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from synthehr.models.base import Loss
from synthehr.models.recurrent import Recurrent
from synthehr.privacy.dpsgd import DpSgd

CLIP, NOISE = 1.0, 1.0


@dataclass
class Full:
    """A batch without blanks."""

    filled: Tensor
    owners: Tensor | None = None


class Network(nn.Module):
    """A recurrent layer and a head; one loss a patient."""

    def __init__(self, layer: nn.Module, inputs: int, units: int) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(units, inputs)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x)
        hidden = hidden if isinstance(hidden, Tensor) else hidden[0]
        return (self.head(hidden[:, :-1]) - x[:, 1:]).square().sum((1, 2)) / x.shape[1]


def plain(network: Network, x: Tensor) -> Callable[[], None]:
    optimiser = torch.optim.AdamW(network.parameters(), foreach=True)

    def step() -> None:
        optimiser.zero_grad()
        network(x).mean().backward()
        optimiser.step()

    return step


def ours(network: Network, x: Tensor) -> Callable[[], None]:
    optimiser = torch.optim.AdamW(network.parameters(), foreach=True)
    full = Full(torch.ones(len(x), dtype=torch.bool))
    engine = DpSgd(network, full, clip=CLIP, noise_multiplier=NOISE, expected=len(x))

    def step() -> None:
        with engine.watching():
            engine(Loss("network", per_record=network(x)), optimiser)

    return step


def opacus(network: Network, x: Tensor) -> Callable[[], None]:
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    hooked = GradSampleModule(network, loss_reduction="sum")
    optimiser = DPOptimizer(
        torch.optim.AdamW(network.parameters(), foreach=True), noise_multiplier=NOISE,
        max_grad_norm=CLIP, expected_batch_size=len(x), loss_reduction="sum",
    )  # fmt: skip

    def step() -> None:
        optimiser.zero_grad()
        hooked(x).sum().backward()
        optimiser.step()

    return step


def steps(patients: int, visits: int, inputs: int, units: int) -> dict[str, Callable[[], None]]:
    from opacus.layers import DPLSTM

    torch.manual_seed(0)
    x = torch.randn(patients, visits, inputs)
    fused = Network(nn.LSTM(inputs, units, batch_first=True), inputs, units)
    theirs = Network(DPLSTM(inputs, units, batch_first=True), inputs, units)
    unrolled = [Network(Recurrent(inputs, units), inputs, units) for _ in range(2)]
    return {
        "torch": plain(fused, x),
        "ours": plain(unrolled[0], x),
        "ours_private": ours(unrolled[1], x),
        "opacus_private": opacus(theirs, x),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in {"patients": 256, "visits": 24, "inputs": 40, "units": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    some = steps(options.patients, options.visits, options.inputs, options.units)
    taken: dict[str, list[float]] = {name: [] for name in some}
    for _ in range(options.rounds + 2):
        for name, step in some.items():
            start = time.process_time()
            step()
            taken[name].append(1e3 * (time.process_time() - start))
    for name, times in taken.items():
        told = {"who": name, "least_ms": min(times[2:]), "median_ms": median(times[2:])}
        print(json.dumps(told | vars(options)))


if __name__ == "__main__":
    main()

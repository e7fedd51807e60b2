"""Time the optimiser steps of one engine on one network; see `dp_step.py`.

    python step_cost.py TRAIN.parquet --network default --engine ours --batch 1024 --threads 2

Two networks:

default   what `fit` builds for the table, without its dropout. Its cross-entropy can be passed
          back once only, so Opacus' ghost clipping, which passes back twice, cannot train it.
stand-in  the same sizes, of layers and losses that are torch's own.

Opacus has no rule for `PerColumnLinear`, so one is registered for its hooks. Its `make_private`
is not called; its modules and optimisers step in the same loop as ours. Its noise is torch's own
and seeded, ours comes from the operating system.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr import Synthesizer
from synthehr.config import TrainConfig
from synthehr.encode.fields import Fields
from synthehr.models.autoregressive import Autoregressive, AutoregressiveConfig
from synthehr.models.base import Batch, Given, Loss, Model
from synthehr.models.layers import PerColumnLinear, Residual
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.slots import Slots, slots_for
from synthehr.train import find_runtime, train
from synthehr.train.loop import StepChild
from synthehr.train.state import State

CLIP, NOISE, DELTA = 1.0, 1.0, 1e-5
LONG_RUN = 2000
"""Steps of the fit for which batches have slots enough."""


@final
class StandIn(Model):
    """A denoiser of the default model's sizes, of torch's own layers and losses alone."""

    Config = AutoregressiveConfig

    def __init__(self, fields: Fields, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.sizes = [field.size for field in fields]
        parted = [field for field in fields if field.has_parts]
        parts = sum(int(field.parts.max()) for field in parted)
        tokens, width = sum(self.sizes), config.width
        starts = torch.tensor([0, *self.sizes[:-1]]).cumsum(0)
        self.register_buffer("starts", starts, persistent=False)
        rise = len(parted) * config.part_width
        self.network = nn.ModuleDict({
            "embedding": nn.Embedding(tokens, config.embedding),
            "input": nn.Linear(len(fields) * (config.embedding + 1), width),
            "body": nn.Sequential(
                *(Residual(width, width, config.dropout) for _ in range(config.blocks)),
                nn.LayerNorm(width),
            ),
            "token_head": nn.Linear(width, tokens),
            "part_head": nn.Sequential(nn.Linear(width, rise), nn.SiLU(), nn.Linear(rise, parts)),
        })  # fmt: skip

    starts: Tensor

    @classmethod
    def build(cls, fields: Fields, config: AutoregressiveConfig) -> Self:
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: Fields, n_records: int, settings: Mapping[str, Any]
    ) -> AutoregressiveConfig:
        return Autoregressive.sized(fields, n_records, settings)

    @classmethod
    def train_config(cls, fields: Fields, n_records: int, config: Any) -> TrainConfig:
        return Autoregressive.train_config(fields, n_records, config)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        tokens = batch.codes[:, 0]
        known = (torch.rand(tokens.shape, generator=batch.generator) < 0.5).float()
        embedded = self.network["embedding"](tokens + self.starts) * known[..., None]
        read = self.network["input"](torch.cat([embedded.flatten(1), known], 1))
        hidden = self.network["body"](read)
        logits = self.network["token_head"](hidden).float().split(self.sizes, 1)
        columns = [
            functional.cross_entropy(some, tokens[:, d], reduction="none")
            for d, some in enumerate(logits)
        ]
        parts = self.network["part_head"](hidden).float()
        places = functional.cross_entropy(parts, batch.codes[:, 1, 0], reduction="none")
        yield Loss("network", per_record=torch.stack(columns).sum(0) + places)

    def held_out_loss(self, codes: Tensor) -> float:
        (loss,) = self.losses(Batch(codes, None, torch.Generator().manual_seed(0)), 0)
        assert loss.per_record is not None
        return loss.per_record.mean().item()

    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Give zeros: it is there to be timed."""
        return torch.zeros((n, 2, len(self.sizes)), dtype=torch.int64)


def opacus_hooks(model: Model, batch: int) -> StepChild:
    """Gradients laid out record by record, then clipped: Opacus' default."""
    from opacus import GradSampleModule
    from opacus.grad_sample import register_grad_sampler
    from opacus.optimizers import DPOptimizer

    @register_grad_sampler(PerColumnLinear)
    def per_column(
        layer: PerColumnLinear, activations: list[Tensor], backprops: Tensor
    ) -> dict[nn.Parameter, Tensor]:
        return {layer.weight: torch.einsum("bci,bco->bcio", activations[0], backprops)}

    module = GradSampleModule(model.get_submodule("network"), loss_reduction="sum", strict=False)
    private: list[DPOptimizer] = []

    def step(loss: Loss, optimiser: torch.optim.Optimizer) -> Tensor:
        if not private:
            private.append(DPOptimizer(
                optimiser, noise_multiplier=NOISE, max_grad_norm=CLIP,
                expected_batch_size=batch, loss_reduction="sum",
            ))  # fmt: skip
        assert loss.per_record is not None
        private[0].zero_grad(set_to_none=True)
        loss.per_record.sum().backward()
        private[0].step()
        module.zero_grad()
        return loss.per_record.sum().detach()

    return step


def opacus_ghost(model: Model, batch: int) -> StepChild:
    """Norms first, then a second pass back over losses scaled by them."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping

    # its clip is 1 if nothing else is said, and CLIP is
    module = GradSampleModuleFastGradientClipping(
        model.get_submodule("network"), loss_reduction="sum", strict=False
    )
    private: list[DPOptimizerFastGradientClipping] = []

    def step(loss: Loss, optimiser: torch.optim.Optimizer) -> Tensor:
        if not private:
            private.append(DPOptimizerFastGradientClipping(
                optimiser, noise_multiplier=NOISE, max_grad_norm=CLIP,
                expected_batch_size=batch, loss_reduction="sum",
            ))  # fmt: skip
        assert loss.per_record is not None
        private[0].zero_grad(set_to_none=True)
        DPTensorFastGradientClipping(module, private[0], loss.per_record, "sum").backward()
        private[0].step()
        return loss.per_record.sum().detach()

    return step


def measure(
    table: Path, network: str, engine: str, batch: int, steps: int, warmup: int
) -> dict[str, float]:
    """Median milliseconds of a step, everything of the loop counted: draw, loss, step, average."""
    # For every engine what `fit` does under differential privacy: no dropout, no shared slopes.
    settings = {"model": {"dropout": 0.0, "head_frequencies": 0}}
    synthesizer = Synthesizer("autoregressive", seed=0, settings=settings)
    prepared = synthesizer.prepare(table, holdout=0.0, pii="keep")
    fields, codes = prepared.encoder.fields, torch.from_numpy(prepared.codes)
    model = prepared.model if network == "default" else StandIn.build(fields, prepared.config)
    config = replace(
        prepared.training,
        steps=steps + warmup,
        batch_size=batch,
        evaluations=1,
        patience=0,
        precision="bfloat16" if engine == "plain-bfloat16" else "float32",
    )
    draw, child, watching = None, None, nullcontext()
    if not engine.startswith("plain"):
        rate = batch / len(codes)
        draw = Slots(codes, None, rate, slots_for(len(codes), rate, LONG_RUN, DELTA)[0])
    if engine == "ours":
        assert draw is not None
        child = DpSgd(model, draw, clip=CLIP, noise_multiplier=NOISE, expected=batch)
        watching = child.watching()
    elif engine.startswith("opacus"):
        child = (opacus_hooks if engine == "opacus-hooks" else opacus_ghost)(model, batch)
    stamps: list[float] = []

    def stamp(state: State) -> None:
        stamps.append(time.perf_counter())

    with watching:
        train(
            model, codes, codes[:0], config, seed=0, runtime=find_runtime("cpu"), fields=fields,
            callbacks=[stamp], draw=draw, step_child=child,
        )  # fmt: skip
    # the last step owes an evaluation, and a step is the time between two stamps
    taken = [1e3 * (b - a) for a, b in zip(stamps[warmup - 1 :], stamps[warmup:-1], strict=False)]
    return {
        "ms": round(median(taken), 3),
        "steps": len(taken),
        "weights": sum(weight.numel() for weight in model.parameters()),
        "slots": batch if draw is None else draw.slots,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("--network", choices=("default", "stand-in"), default="default")
    parser.add_argument("--engine", required=True)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warmup", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    told = measure(
        options.table,
        options.network,
        options.engine,
        options.batch,
        options.steps,
        options.warmup,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(told | {"peak_mib": peak}))


if __name__ == "__main__":
    main()

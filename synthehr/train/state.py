"""What a run has come to: weights, averages, optimisers and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.models.base import Learner
from synthehr.train.ema import Average

StoppedBy = Literal["steps", "patience", "clock", "callback"]


@dataclass
class State:
    """A run under way; changed in place by the loop, read by its callbacks.

    Attributes
    ----------
    model : Module
        The model in training.
    config : TrainConfig
        How it is trained.
    average : Average
        Moving average of its weights.
    optimisers : dict of str to AdamW
        One for each child that a loss has named.
    step, seconds, fraction
        Steps taken, seconds spent, and the fraction of the run that is over.
    curve : list of (int, float)
        Step and held-out loss of each evaluation.
    best_step : int
        Step of the lowest held-out loss.
    best : list of Tensor, or None
        Weights and buffers of that step, in the order of `tensors`.
    """

    model: nn.Module
    config: TrainConfig
    average: Average
    optimisers: dict[str, torch.optim.AdamW] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    fraction: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0
    best: list[Tensor] | None = None

    @property
    def learner(self) -> Learner:
        """The model, as the loop sees it."""
        return cast(Learner, self.model)

    @property
    def best_held_out(self) -> float | None:
        """The lowest held-out loss so far."""
        return min((value for _, value in self.curve), default=None)

    @property
    def stale(self) -> int:
        """Evaluations since the lowest held-out loss."""
        return sum(step > self.best_step for step, _ in self.curve)

    def optimiser(self, child: str) -> torch.optim.AdamW:
        """Give the optimiser of a child, made when it is first asked for."""
        if child not in self.optimisers:
            self.optimisers[child] = adamw(self.model.get_submodule(child), self.config)
        return self.optimisers[child]

    def keep_best(self) -> None:
        """Remember the weights that the model holds now."""
        if self.best is None:
            self.best = [tensor.clone() for tensor in tensors(self.model)]
        else:
            torch.ops.aten._foreach_copy_.default(self.best, tensors(self.model))
        self.best_step = self.step


Callback = Callable[[State], bool | None]
"""Called after every step; True ends the run."""


def tensors(model: nn.Module) -> list[Tensor]:
    """All weights, then all buffers of a model, detached."""
    return [t.detach() for group in (model.parameters(), model.buffers()) for t in group]


def trained(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """List the weights of an optimiser, in order."""
    return [weight for group in optimiser.param_groups for weight in group["params"]]


def adamw(child: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over a child, without decay on biases, norms and embeddings.

    Loshchilov and Hutter 2019, arXiv:1711.05101.
    """
    kept = set(map(id, undecayed(child)))
    weights = [weight for weight in child.parameters() if weight.requires_grad]
    groups = [{"params": weights, "weight_decay": 0.0}]
    if config.weight_decay > 0:
        decayed = [weight for weight in weights if id(weight) not in kept]
        rest = [weight for weight in weights if id(weight) in kept]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def undecayed(child: nn.Module) -> Iterator[nn.Parameter]:
    """Biases, scales of norms, and embeddings of a child."""
    for module in child.modules():
        embeds = isinstance(module, (nn.Embedding, nn.EmbeddingBag))
        for name, weight in module.named_parameters(recurse=False):
            if embeds or weight.ndim < 2 or "embedding" in name:
                yield weight

"""Settings as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    Attributes
    ----------
    steps : int
        Optimiser steps of a whole run; the learning rate's schedule ends there.
    batch_size : int
        Records a step.
    learning_rate : float
        Peak learning rate of AdamW.
    betas : tuple of float
        Decay of AdamW's first and second moment.
    weight_decay : float
        Decoupled weight decay; not applied to biases, norms and embeddings.
    schedule : {"cosine", "step", "constant"}
        Course of the learning rate after the warm-up.
    warmup : int
        Steps of linear warm-up.
    ema : float
        Decay of the moving average of the weights; 0 keeps the last weights.
    clip : float
        Largest norm of a child's gradient; 0 never clips.
    patience : int
        Evaluations without improvement after which training stops; 0 never stops early.
    evaluations : int
        How often the held-out loss is measured over the whole run.
    precision : {"auto", "float32", "bfloat16"}
        Arithmetic of the forward pass; "auto" takes bfloat16 where the device has it.
    """

    steps: int
    batch_size: int = 512
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup: int = 100
    ema: float = 0.999
    clip: float = 1.0
    patience: int = 0
    evaluations: int = 20
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

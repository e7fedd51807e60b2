"""Fit in child processes that are killed again and again; compare with a fit left in peace.

``python killed.py FOLDER`` prints how often it killed, and whether the weights are equal.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from tiny import CPU, make, records, weights

from synthehr.config import TrainConfig
from synthehr.train import train

CONFIG = TrainConfig(
    steps=100, batch_size=64, learning_rate=0.05, warmup=5, evaluations=20, weight_decay=0.01
)
KILLS = 8


def fit(checkpoint: Path | None) -> bytes:
    model = make()
    history = train(
        model,
        records(600),
        records(200, 1),
        CONFIG,
        seed=1,
        runtime=CPU,
        checkpoint=checkpoint,
        checkpoint_every=0.0,
        resume=True,
    )
    return weights(model) + repr((history.curve, history.best_step)).encode()


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    result, checkpoint = folder / "result", folder / "run.checkpoint"
    delays = random.Random(0)
    kills = 0
    while True:
        child = os.fork()
        if child == 0:
            result.write_bytes(fit(checkpoint))
            os._exit(0)
        if kills < KILLS:
            time.sleep(delays.uniform(0.02, 0.25))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            break
        kills += 1
    print(kills, result.read_bytes() == fit(None))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

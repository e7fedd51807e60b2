"""Fit in child processes that are killed again and again; compare with a fit left in peace.

``python killed.py FOLDER`` prints how often it killed, and whether the weights are equal.
"""

from __future__ import annotations

import itertools
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
    steps=300, batch_size=64, learning_rate=0.05, warmup=5, evaluations=10, weight_decay=0.01
)
KILLS = 5


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


def written(checkpoint: Path) -> int:
    return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    result, checkpoint = folder / "result", folder / "run.checkpoint"
    delays = random.Random(0)
    for kills in itertools.count():
        before = written(checkpoint)
        child = os.fork()
        if child == 0:
            result.write_bytes(fit(checkpoint))
            os._exit(0)
        status = None
        while status is None:
            time.sleep(0.005)
            ended, code = os.waitpid(child, os.WNOHANG)
            if ended:
                status = code
            elif kills < KILLS and written(checkpoint) != before:
                # some step has been written; now anywhere in the steps and writes after it
                time.sleep(delays.uniform(0.0, 0.03))
                os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            break
    print(kills, result.read_bytes() == fit(None))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A race: how near each contestant's images are to unseen ones, second by second of learning.

Both train the same nets on the same images. The clock stands still while images are drawn and
compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from images_plain import PlainGAN
from images_sets import ImageSet, records_of
from synthehr import ImageSynthesizer
from synthehr.evaluation.images.features import domain_classifier
from synthehr.evaluation.images.kernel import kernel_distance
from synthehr.evaluation.images.records import ImageRecords
from synthehr.families import IMAGES
from synthehr.models.image_base import stored
from synthehr.run.choices import settings_of
from synthehr.run.images.preparation import ImagePreparation
from synthehr.train import State, find_runtime, train

LOOKS = 8
"""How often each is looked at."""
DRAWN = 1_000
"""Images that are drawn each time."""
Curve = list[tuple[float, float]]


def race(images: ImageSet, words: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Let ours and the plain loop learn for as many seconds; who is how near, and when."""
    settings = settings_of("image-cgan", options.settings, family=IMAGES)
    synthesizer = ImageSynthesizer("image-cgan", seed=options.seed, settings=settings)
    prepared = synthesizer.prepare(images.fitted, holdout=0.0)
    features = domain_classifier(records_of(images.fitted), records_of(images.unseen), 0)
    unseen = records_of(images.unseen)
    points = features(unseen)
    codes = prepared.codes.some(DRAWN).codes.long()

    def distance(pixels: torch.Tensor) -> float:
        made = ImageRecords(pixels=stored(pixels, prepared.encoder.fields.top).numpy())
        rng = np.random.default_rng(0)
        return kernel_distance(features(made), points, (made.who, unseen.who), rng).distance.value

    ours = _ours(prepared, codes, distance, options)
    plain = _plain(prepared, codes, distance, options)
    goal = min(near for _, near in plain)
    reached = [seconds for seconds, near in ours if near <= goal]
    return {
        "fit_s": options.seconds,
        "curve": ours,
        "plain_curve": plain,
        "goal": goal,
        "plain_seconds_to_goal": next(seconds for seconds, near in plain if near == goal),
        "seconds_to_goal": reached[0] if reached else None,
    }


Look = Callable[[torch.Tensor], float]


def _ours(
    prepared: ImagePreparation, codes: torch.Tensor, look: Look, options: argparse.Namespace
) -> Curve:
    torch.manual_seed(options.seed)
    model = type(prepared.model).build(prepared.encoder.fields, prepared.config)
    curve: Curve = []
    started, stood = time.monotonic(), 0.0

    def watch(state: State) -> bool:
        nonlocal stood
        now = time.monotonic()
        seconds = now - started - stood
        if seconds >= options.seconds * (len(curve) + 1) / LOOKS:
            state.average.update(state.step, force=True)
            model.eval()
            with state.average.swapped_in(), torch.no_grad():
                random = torch.Generator().manual_seed(0)
                curve.append(
                    (seconds, look(model.rebuild(model.latents(len(codes), random), codes)))
                )
            model.train()
            stood += time.monotonic() - now
        return len(curve) == LOOKS

    settings = replace(prepared.training, evaluations=1)
    train(
        model,
        prepared.codes,
        prepared.codes.nobody(),
        settings,
        seed=options.seed,
        runtime=find_runtime(),
        callbacks=[watch],
    )
    return curve


def _plain(
    prepared: ImagePreparation, codes: torch.Tensor, look: Look, options: argparse.Namespace
) -> Curve:
    plain = PlainGAN(prepared.encoder.fields, prepared.config, prepared.codes, options.seed)
    curve: Curve = []
    seconds = 0.0
    for _ in range(LOOKS):
        started = time.monotonic()
        plain.train(seconds=options.seconds / LOOKS)
        seconds += time.monotonic() - started
        curve.append((seconds, look(plain.draw(codes))))
    return curve

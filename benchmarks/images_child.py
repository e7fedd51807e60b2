"""One task on images, in a process of its own: fit, draw or repair, and score. JSON on stdout.

    python images_child.py TASK --data DIR --who synthehr --seconds 600 --seed 0

Tasks: `generate:SET[:N]` (N images to learn from), `private:SET:EPSILON`, `masks:SET`,
`translate:SET:FROM:TO`, `repair:SET:CLASS`, `speed:SET`, `race:SET`. Who: `synthehr` (the model
that fits the task), `plain` (the same nets in a plain loop), `monai` (MONAI's nets in its
environment), or a model's name.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from child import run_child
from images_plain import BATCH, PlainGAN
from images_race import race
from images_sets import ImageSet, declared, image_set, labels_of, of_class, records_of, some_of
from quality import checked, last_json
from synthehr import ImageSynthesizer
from synthehr.evaluation.images.evaluate import evaluate_images
from synthehr.evaluation.images.features import domain_classifier
from synthehr.evaluation.images.kernel import kernel_distance
from synthehr.evaluation.images.nets import trained
from synthehr.evaluation.images.records import ImageRecords
from synthehr.io.images import ImageSource
from synthehr.models.image_base import Images, stored
from synthehr.models.image_compression import spread_into
from synthehr.privacy.config import Privacy
from synthehr.run.images.latents import reconstructed
from synthehr.run.images.preparation import ImagePreparation
from synthehr.run.images.reading import seen
from synthehr.run.images.scoring import anomalies
from synthehr.run.images.translating import translated
from synthehr.train import find_runtime, train

Figures = dict[str, Any]
DELTA = 1e-5
HERE = Path(__file__).resolve().parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the task that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--who", default="synthehr")
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", type=Path, help="folder of the rivals' environments")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    options = parser.parse_args(arguments)
    kind, *words = options.task.split(":")
    found = TASKS[kind](image_set(words[0], options.data), words[1:], options)
    print(json.dumps(found))


def generate(images: ImageSet, words: list[str], options: argparse.Namespace) -> Figures:
    """Learn images, draw as many, and compare them with unseen ones."""
    learned = some_of(images.fitted, int(words[0])) if words else images.fitted
    return _compared(learned, images.unseen, *_drawn(learned, options))


def private(images: ImageSet, words: list[str], options: argparse.Namespace) -> Figures:
    """Learn images under differential privacy, draw as many, and compare them with unseen ones.

    Steps are those of the model; the clock, which would depend on the machine, is not asked.
    """
    drawn, told = _drawn(images.fitted, options, epsilon=float(words[0]))
    return _compared(images.fitted, images.unseen, drawn, told)


def _compared(
    learned: ImageSource, unseen: ImageSource, drawn: ImageRecords, told: Figures
) -> Figures:
    told["learned_from"] = len(learned)
    evaluation = evaluate_images(records_of(learned), drawn, records_of(unseen), seed=0)
    for metric in evaluation.results.rows:
        name = metric.name if metric.column is None else f"{metric.name}:{metric.column}"
        told[name], told[f"{name}_real"] = metric.value, metric.ceiling
    return told


def _drawn(
    source: ImageSource, options: argparse.Namespace, epsilon: float | None = None
) -> tuple[ImageRecords, Figures]:
    """Fit a model for so many seconds, and draw as many images as it learned from."""
    if options.who in OTHERS:
        return OTHERS[options.who](source, options)
    model = _usual(source) if options.who == "synthehr" else options.who
    synthesizer = _fitted(source, model, options, epsilon)
    started = time.perf_counter()
    drawn = synthesizer.sample(len(source), seed=options.seed)
    seconds = time.perf_counter() - started
    labels, names = labels_of(drawn.records)
    history = synthesizer.history
    assert history is not None
    told = {
        "model": model,
        "fit_s": history.seconds,
        "steps": history.steps,
        "best_step": history.best_step,
        "images_s": history.steps * synthesizer.record["training"]["batch_size"] / history.seconds,
        "sample_s_per_1000": 1000 * seconds / len(source),
        "held_out": synthesizer.record["held_out"],
    }
    masks = None if drawn.masks is None else drawn.masks.astype(np.int64)
    return ImageRecords(pixels=drawn.images, labels=labels, class_names=names, masks=masks), told


def _usual(source: ImageSource) -> str:
    """Name the model that fits images like these."""
    if source.layout.mask_place:
        return "image-vae"
    return "image-cgan" if "label" in source.records.column_names else "image-gan"


def _fitted(
    source: ImageSource, model: str, options: argparse.Namespace, epsilon: float | None = None
) -> ImageSynthesizer:
    from synthehr.families import IMAGES
    from synthehr.run.choices import settings_of

    public = [] if epsilon is None else [f"encode.size={source.layout.height}"]
    settings = settings_of(model, [*public, *options.settings], family=IMAGES)
    synthesizer = ImageSynthesizer(model, seed=options.seed, settings=settings)
    if epsilon is None:
        return synthesizer.fit(source, max_minutes=options.seconds / 60)
    privacy = Privacy(epsilon=epsilon, delta=DELTA, public_rows=len(source))
    return synthesizer.fit(source, declared(source), privacy=privacy)


def _plainly_drawn(
    source: ImageSource, options: argparse.Namespace
) -> tuple[ImageRecords, Figures]:
    prepared = _prepared(source, options)
    plain = PlainGAN(prepared.encoder.fields, prepared.config, prepared.codes, options.seed)
    started = time.perf_counter()
    steps = plain.train(seconds=options.seconds)
    seconds = time.perf_counter() - started
    told = {"fit_s": seconds, "steps": steps, "images_s": steps * BATCH / seconds}
    drawn = stored(plain.draw(prepared.codes.codes.long()), prepared.encoder.fields.top)
    return _in_records(prepared, drawn.numpy()), told


def _drawn_by_monai(
    source: ImageSource, options: argparse.Namespace
) -> tuple[ImageRecords, Figures]:
    """Let MONAI's nets learn and draw, in their own environment."""
    prepared = _prepared(source, options)
    codes = prepared.codes.codes
    labels = codes[:, 0, 0] if codes.shape[2] else torch.zeros(len(codes))
    with tempfile.TemporaryDirectory() as name:
        given, made = Path(name) / "given.npz", Path(name) / "made.npz"
        np.savez(given, images=prepared.codes.pixels.numpy(), labels=labels.numpy())
        python = options.peers / "monai" / "bin" / "python"
        words = ["--seconds", str(options.seconds), "--seed", str(options.seed)]
        command = [python, HERE / "images_monai.py", given, made, *words]
        child = checked(run_child(command, limit=2 * options.seconds + 600))
        with np.load(made, allow_pickle=False) as file:
            return _in_records(prepared, file["images"]), last_json(child)


def _prepared(source: ImageSource, options: argparse.Namespace) -> ImagePreparation:
    """Encode images as `image-cgan` would, with the settings of its nets."""
    from synthehr.families import IMAGES
    from synthehr.run.choices import settings_of

    settings = settings_of("image-cgan", options.settings, family=IMAGES)
    synthesizer = ImageSynthesizer("image-cgan", seed=options.seed, settings=settings)
    return synthesizer.prepare(source, holdout=0.0)


def _in_records(prepared: ImagePreparation, pixels: NDArray[Any]) -> ImageRecords:
    """Give drawn images, one for the columns of each fitted one, to the evaluation."""
    images, masks = prepared.encoder.raster.decode(pixels)
    table = prepared.encoder.decode_columns(prepared.codes.codes.numpy(), np.random.default_rng(0))
    labels, names = labels_of(table)
    whole = None if masks is None else masks.astype(np.int64)
    return ImageRecords(pixels=images, labels=labels, class_names=names, masks=whole)


def translate(images: ImageSet, words: list[str], options: argparse.Namespace) -> Figures:
    """Learn to translate between two classes, and translate unseen images of the first."""
    source_class, target_class = words
    both = np.isin(images.fitted.records["label"].to_pylist(), words)
    synthesizer = _fitted(images.fitted.take(both), "cyclegan", options)
    unseen = of_class(images.unseen, source_class)
    found = translated(synthesizer.artifact, unseen, target_class)
    told = images.fitted.take(both)
    features = domain_classifier(records_of(told), records_of(images.unseen), 0)
    target = records_of(of_class(images.unseen, target_class))
    untranslated = records_of(unseen)
    made = ImageRecords(pixels=found.images)
    rng = np.random.default_rng(0)

    def distance(first: ImageRecords) -> float:
        who = (first.who, target.who)
        return kernel_distance(features(first), features(target), who, rng).distance.value

    labels, names = labels_of(told.records)
    assert labels is not None
    judge = trained(records_of(told), labels, len(names), 0)
    sees = judge.shares(made).argmax(axis=1) == names.index(target_class)
    sees_real = judge.shares(target).argmax(axis=1) == names.index(target_class)
    history = synthesizer.history
    assert history is not None
    return {
        "fit_s": history.seconds,
        "steps": history.steps,
        "kid": distance(made),
        "kid_untranslated": distance(untranslated),
        "kid_real": distance(records_of(of_class(told, target_class))),
        "seen_as_target": float(sees.mean()),
        "seen_as_target_real": float(sees_real.mean()),
        "cycle_error": float(found.cycle_error.mean()),
    }


def repair(images: ImageSet, words: list[str], options: argparse.Namespace) -> Figures:
    """Learn one class; fill a hidden quarter of unseen images, and find images of other classes."""
    (label,) = words
    model = "image-ae" if options.who == "synthehr" else options.who
    synthesizer = _fitted(of_class(images.fitted, label), model, options)
    artifact = synthesizer.artifact
    mine = np.array([name == label for name in images.unseen.records["label"].to_pylist()])
    scores = anomalies(artifact, _unlabelled(images.unseen)).scores
    pixels, codes = seen(artifact, of_class(images.unseen, label))
    known = _quarter_hidden(len(pixels), pixels.shape[-1])
    random = torch.Generator().manual_seed(0)
    filled = artifact.model.restore(pixels, known, codes, random)
    mean = (pixels * known).sum((1, 2, 3)) / known.sum((1, 2, 3))
    ways = {
        "psnr": filled,
        "psnr_mean": mean[:, None, None, None].expand_as(pixels),
        "psnr_diffusion": spread_into(pixels * known, ~known),
    }
    rebuilt = reconstructed(artifact, of_class(images.unseen, label)).astype(np.float64)
    whole = np.stack(list(of_class(images.unseen, label).images())).astype(np.float64)
    history = synthesizer.history
    assert history is not None
    return {
        "model": model,
        "fit_s": history.seconds,
        "steps": history.steps,
        "anomaly_auroc": float(roc_auc_score(~mine, scores)),
        "psnr_rebuilt": float(10 * np.log10(255**2 / np.mean((rebuilt - whole) ** 2))),
        **{name: _psnr(pixels, way, ~known) for name, way in ways.items()},
    }


def _unlabelled(source: ImageSource) -> ImageSource:
    return replace(source, records=source.records.select(["image"]))


def _quarter_hidden(n: int, size: int) -> torch.Tensor:
    """Hide a square of a quarter of the area, somewhere, in each of n images."""
    rng = np.random.default_rng(0)
    known, side = torch.ones(n, 1, size, size, dtype=torch.bool), size // 2
    for row, (top, left) in enumerate(rng.integers(0, size - side + 1, (n, 2))):
        known[row, :, top : top + side, left : left + side] = False
    return known


def _psnr(pixels: torch.Tensor, filled: torch.Tensor, hidden: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of the hidden pixels, in decibels; values span 2."""
    error = ((pixels - filled).square() * hidden).sum() / hidden.sum()
    return float(10 * torch.log10(4 / error))


def speed(images: ImageSet, words: list[str], options: argparse.Namespace) -> Figures:
    """Train the same nets by turns in our loop and in a plain one; images a second of each."""
    prepared = ImageSynthesizer("image-cgan", seed=0).prepare(images.fitted, holdout=0.0)
    fields, data = prepared.encoder.fields, prepared.codes
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(1 + REPEATS):
        rates["ours"].append(_our_rate(prepared, data))
        plain = PlainGAN(fields, prepared.config, data, 0)
        started = time.perf_counter()
        plain.train(steps=STEPS)
        rates["plain"].append(STEPS * BATCH / (time.perf_counter() - started))
    ours, plainly = (statistics.median(found[1:]) for found in rates.values())
    return {
        "images_s": ours,
        "plain_images_s": plainly,
        "ratio": ours / plainly,
        "ratios": [a / b for a, b in zip(rates["ours"][1:], rates["plain"][1:], strict=True)],
        "threads": torch.get_num_threads(),
    }


STEPS, REPEATS = 60, 5


def _our_rate(prepared: Any, data: Images) -> float:
    torch.manual_seed(0)
    model = type(prepared.model).build(prepared.encoder.fields, prepared.config)
    settings = replace(prepared.training, steps=STEPS, batch_size=BATCH, evaluations=1)
    started = time.perf_counter()
    train(model, data, data.nobody(), settings, seed=0, runtime=find_runtime())
    return STEPS * BATCH / (time.perf_counter() - started)


OTHERS = {"plain": _plainly_drawn, "monai": _drawn_by_monai}
TASKS = {
    "generate": generate,
    "private": private,
    "masks": generate,
    "translate": translate,
    "repair": repair,
    "speed": speed,
    "race": race,
}

if __name__ == "__main__":
    sys.exit(main())

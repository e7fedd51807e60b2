"""A run on disk, to be taken up after it was cut off.

No random state is among it: the randomness of a step follows from the seed and the step
(`synthehr.train.runtime.mix`). The file is written whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthehr.container import open_container, pack, unpack
from synthehr.errors import ArtifactError
from synthehr.models.base import Records
from synthehr.train.state import State, tensors, trained

FORMAT = "synthehr checkpoint 1"


def identity(state: State, records: Records, held_out: Records, seed: int) -> dict[str, Any]:
    """Name what must be equal for a run to go on: records, model, settings and seed."""
    digest = hashlib.sha256()
    for group in (records, held_out):
        for part in (group,) if isinstance(group, Tensor) else group.tensors:
            digest.update(part.cpu().contiguous().numpy().data)
    config = vars(state.model).get("config")
    model = f"{type(state.model).__qualname__} {config!r} {state.model!r}"
    shapes = [list(tensor.shape) for tensor in tensors(state.model)]
    return {
        "records": digest.hexdigest(),
        "model": hashlib.sha256(f"{model} {shapes}".encode()).hexdigest(),
        "training settings": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(state.config).items()
        },
        "seed": seed,
    }


def save(state: State, path: Path, run: Mapping[str, Any], note: Mapping[str, Any]) -> None:
    """Write the state of a run, in place of the file that is there.

    Parameters
    ----------
    state : State
        After a whole step.
    path : Path
        The checkpoint.
    run : mapping
        The run's `identity`.
    note : mapping
        What the caller wants to find again with `note_of`.
    """
    from synthehr.io import write_bytes

    content = {
        "format": FORMAT,
        "run": dict(run),
        "note": dict(note),
        "step": state.step,
        "seconds": state.seconds,
        "curve": [list(point) for point in state.curve],
        "best_step": state.best_step,
        "average_step": state.average.step,
        "children": sorted(state.optimisers),
    }
    flat = {name: tensor.cpu().contiguous().clone() for name, tensor in _named(state).items()}
    write_bytes(path, pack(content, flat), force=True)


def note_of(path: Path) -> dict[str, Any]:
    """Read the note of a checkpoint; empty where there is no file.

    Raises
    ------
    ArtifactError
        The file is damaged, or no checkpoint of this version.
    """
    return _read(path)[0]["note"] if path.exists() else {}


def restore(state: State, path: Path, run: Mapping[str, Any]) -> None:
    """Put a run back to where its checkpoint was written; without a file, do nothing.

    Raises
    ------
    ArtifactError
        The file is damaged, or belongs to another run.
    """
    if not path.exists():
        return
    content, saved = _read(path)
    other = [key for key, value in run.items() if content["run"].get(key) != value]
    if other:
        raise _refusal(f"belongs to a run with other {' and other '.join(other)}")
    state.step, state.seconds = content["step"], content["seconds"]
    state.curve = [(step, value) for step, value in content["curve"]]
    state.best_step, state.average.step = content["best_step"], content["average_step"]
    state.best = [t.clone() for t in tensors(state.model)] if "best/0" in saved else None
    _fill_optimisers(state, content["children"], saved)
    for name, tensor in _named(state).items():
        if name not in saved or saved[name].shape != tensor.shape:
            raise _refusal("does not fit the model")
        with torch.no_grad():
            tensor.copy_(saved[name])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        container = open_container(path)
        saved = unpack(container)
    except ArtifactError as error:
        raise _refusal(f"cannot be used: {error.message}") from None
    if container.content.get("format") != FORMAT:
        raise _refusal("was written by another version of synthehr")
    return container.content, saved


def _named(state: State) -> dict[str, Tensor]:
    groups = {"now": tensors(state.model), "average": state.average.values}
    if state.average.values is state.average.weights:
        del groups["average"]
    if state.best is not None:
        groups["best"] = state.best
    flat = {f"{key}/{i}": t for key, group in groups.items() for i, t in enumerate(group)}
    for child, optimiser in state.optimisers.items():
        for i, weight in enumerate(trained(optimiser)):
            for key, value in optimiser.state[weight].items():
                flat[f"{child}/{i}/{key}"] = value
    return flat


def _fill_optimisers(state: State, children: list[str], saved: Mapping[str, Tensor]) -> None:
    """Make room for the moments that `_named` then names; none was kept for unused weights."""
    for child in children:
        optimiser = state.optimiser(child)
        for i, weight in enumerate(trained(optimiser)):
            start = f"{child}/{i}/"
            keys = [name.removeprefix(start) for name in saved if name.startswith(start)]
            for key in keys:
                # Moments lie in memory as their weights do, or fused steps mix them up.
                like = weight.detach() if saved[start + key].ndim else saved[start + key]
                optimiser.state[weight][key] = torch.empty_like(like, device=weight.device)


def _refusal(what: str) -> ArtifactError:
    return ArtifactError(
        f"the checkpoint {what}", hint="fit without --resume to start from the beginning"
    )

"""The model file: one plain safetensors file with the suffix `.synthehr`.

Weights (``model.*``) and the encoder's arrays (``encoder.*``) are tensors; schema,
encoder, model settings, versions, seed and run record are one JSON text in the
file's metadata, beside the SHA-256 of that text and of the tensors. Reading a model
file runs no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synthehr.container import Container, damaged, open_container, pack, unpack
from synthehr.errors import ArtifactError, SynthehrError, TrainingError
from synthehr.families import FAMILIES, TABLES, VISITS, Family, family_of, place
from synthehr.modes.constraints import NO_RULES, Rules

if TYPE_CHECKING:
    import torch
    from torch import nn

    from synthehr.encode.sequence import SequenceEncoder
    from synthehr.encode.table import TableEncoder
    from synthehr.models.base import Model
    from synthehr.models.sequence_base import SequenceModel
    from synthehr.schema.table import Schema

FORMAT = 1
"""Version of the file format; a reader refuses newer ones."""

SUFFIX = ".synthehr"

_RECORD = ("seed", "records", "held_out_records", "holdout", "encoding", "versions")


@dataclass(frozen=True)
class Metadata:
    """Everything in a model file that is not a tensor.

    Attributes
    ----------
    content : dict
        ``format``, ``schema``, ``encoder``, ``model`` (``name`` and ``config``) and
        ``record`` (versions, seed, numbers of rows and steps, held-out figures).
    tensors : dict of str to (str, tuple of int)
        Data type and shape of each tensor.
    """

    content: dict[str, Any]
    tensors: dict[str, tuple[str, tuple[int, ...]]]


class Artifact(NamedTuple):
    """A loaded model file.

    Attributes
    ----------
    model : Model
        The fitted model, on the CPU, in evaluation mode.
    encoder : TableEncoder
        The fitted encoder.
    schema : Schema
        The schema of the fitted table.
    record : dict
        The run record, JSON values only.
    config : dataclass
        The settings that `model` was built with.
    """

    model: Model
    encoder: TableEncoder
    schema: Schema
    record: dict[str, Any]
    config: Any

    @property
    def rules(self) -> Rules:
        """Rules that sampled records keep."""
        return rules_of(self.record)


class SequenceArtifact(NamedTuple):
    """A loaded model file of visits; attributes as of `Artifact`."""

    model: SequenceModel
    encoder: SequenceEncoder
    schema: Schema
    record: dict[str, Any]
    config: Any

    @property
    def rules(self) -> Rules:
        """Rules that sampled visits keep."""
        return rules_of(self.record)


def rules_of(record: Mapping[str, Any]) -> Rules:
    """Rules that a run record tells of."""
    kept = record.get("rules")
    return NO_RULES if kept is None else Rules.from_json(kept)


def save(path: Path | str, artifact: Any, *, force: bool = False) -> None:
    """Write a model file, atomically.

    Parameters
    ----------
    path : path
        Where to; an existing file is replaced only with `force`.
    artifact : Artifact, or that of another family
        What to write.
    force : bool
        Whether to replace an existing file.

    Raises
    ------
    InputError
        If the file exists or cannot be written.
    TrainingError
        If a weight is not a number.
    ConfigError
        If the privacy ledger does not agree with itself or with training.
    """
    from synthehr.io import write_bytes
    from synthehr.privacy.ledger import check_spent

    spent = artifact.record.get("privacy")
    if spent is not None:
        free = artifact.record.get("free_steps", 0)
        check_spent(spent, artifact.record["steps"] - free)
    write_bytes(Path(path), to_bytes(artifact), force=force)


def to_bytes(artifact: Any) -> bytes:
    """Lay a fitted model out as the bytes of its file; equal input gives equal bytes."""
    import torch

    weights = {
        f"model.{name}": tensor.detach().cpu().contiguous().clone()
        for name, tensor in artifact.model.state_dict().items()
    }
    if not _finite(weights):
        raise TrainingError(
            "the fitted weights hold values that are not numbers",
            hint="fit again with a smaller learning rate: --set train.learning_rate=0.0003",
        )
    state, arrays = artifact.encoder.state()
    learned = {f"encoder.{name}": torch.from_numpy(array.copy()) for name, array in arrays.items()}
    content = {
        "format": FORMAT,
        "schema": artifact.schema.to_json(),
        "encoder": state,
        "model": {"name": model_name(type(artifact.model)), "config": asdict(artifact.config)},
        "record": artifact.record,
    }
    return pack(content, weights | learned)


def load(path: Path | str, *, model: type[Model] | None = None) -> Artifact:
    """Read a model file; parameters and errors as `synthehr.Synthesizer.load`."""
    return load_of(TABLES, path, model=model)


def load_sequences(
    path: Path | str, *, model: type[SequenceModel] | None = None
) -> SequenceArtifact:
    """Read a model file of visits; parameters and errors as `synthehr.SequenceSynthesizer.load`."""
    return load_of(VISITS, path, model=model)


def load_of(family: Family, path: Path | str, *, model: type[nn.Module] | None = None) -> Any:
    """Read a model file of one family; errors as `synthehr.Synthesizer.load`."""
    container = open_container(Path(path))
    content = _checked(container)
    found = family_of(content)
    if found is not family:
        raise ArtifactError(
            f"the model file is one of {found.name}, and this is for models of {family.name}",
            hint=f"in Python load it with {found.loader}.load",
        )
    return _restore(content, unpack(container), model)


def load_any(path: Path | str) -> Any:
    """Read a model file of any family."""
    container = open_container(Path(path))
    return _restore(_checked(container), unpack(container), None)


def family_at(path: Path | str) -> Family:
    """Say of which family a model file is; errors as `read_metadata`."""
    return family_of(read_metadata(path).content)


def read_metadata(path: Path | str) -> Metadata:
    """Read what a model file says about itself, without the weights and without torch."""
    container = open_container(Path(path))
    return Metadata(_checked(container), container.tensors)


def config_from(cls: type, values: Mapping[str, Any]) -> Any:
    """Rebuild a frozen config from its JSON form, lists as tuples again.

    Raises
    ------
    ArtifactError
        If a field is unknown or missing.
    """
    if set(values) != {item.name for item in fields(cls)}:
        damaged("its model settings are not those of this version")
    return cls(**{key: _tuples(value) for key, value in values.items()})


def _checked(container: Container) -> dict[str, Any]:
    content = container.content
    version = content.get("format")
    if not isinstance(version, int):
        damaged("it names no format version")
    if version > FORMAT:
        raise ArtifactError(
            f"the model file has format {version}, and this synthehr reads up to {FORMAT}",
            hint="update synthehr",
        )
    if set(content) != {"format", "schema", "encoder", "model", "record"}:
        damaged("its metadata has unknown or missing parts")
    if not isinstance(content["record"], dict) or not set(_RECORD) <= set(content["record"]):
        damaged("its run record is incomplete")
    return content


def _restore(
    content: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    model: type[nn.Module] | None,
) -> Any:
    from synthehr.schema.table import Schema

    weights = _below("model.", tensors)
    arrays = {name: tensor.numpy() for name, tensor in _below("encoder.", tensors).items()}
    if len(weights) + len(arrays) != len(tensors):
        damaged("it holds a tensor that belongs to neither model nor encoder")
    if not _finite(weights):
        damaged("its weights hold values that are not numbers")
    try:
        family = family_of(content)
        cls: Any = model or _registered(family, content["model"]["name"])
        schema = Schema.from_json(content["schema"])
        encoder: Any = place(family.encoder).from_state(content["encoder"], arrays)
        if set(encoder.state()[1]) != set(arrays):
            damaged("it has tensors too many or too few for its encoder")
        config = config_from(cls.Config, content["model"]["config"])
        built: Any = cls.build(encoder.fields, config)
        _check_shapes(built.state_dict(), weights)
        built.load_state_dict(dict(weights))
    except ArtifactError:
        raise
    except (
        SynthehrError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
    ) as error:
        damaged(f"its parts do not fit together ({type(error).__name__})")
    return place(family.artifact)(built.eval(), encoder, schema, content["record"], config)


def _finite(weights: Mapping[str, torch.Tensor]) -> bool:
    return all(
        bool(tensor.isfinite().all()) for tensor in weights.values() if tensor.is_floating_point()
    )


def _check_shapes(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    if set(expected) != set(found):
        damaged("it has tensors too many or too few for its model")
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape or tensor.dtype != found[name].dtype:
            damaged("a tensor has the wrong shape for its model")


def _registered(family: Family, name: str) -> Any:
    if name not in family.models:
        raise ArtifactError(
            "the model file was made by a model that is not one of synthehr's own",
            hint="load it in Python with load(path, model=YourModel)",
        )
    return place(family.models[name])


def model_name(cls: type[nn.Module]) -> str:
    """Name a model's class as in `synthehr.models`; its own name if it is not there."""
    here = f"{cls.__module__}:{cls.__qualname__}"
    known = {name: where for family in FAMILIES for name, where in family.models.items()}
    return next((name for name, where in known.items() if where == here), cls.__qualname__)


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value

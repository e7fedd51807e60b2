"""A safetensors file that carries one JSON text, read without trusting it.

Everything is checked before it is used: the size of the header before it is parsed,
double keys and numbers that are not finite while it is parsed, and the place of every
tensor before the library sees the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from synthehr.errors import ArtifactError

if TYPE_CHECKING:
    import torch

MAX_HEADER = 64 * 2**20
"""Largest header in bytes that is parsed; a table of 1 000 columns needs less than 8 MiB."""

_KEY = "synthehr"
_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "F64": 8,
    "I64": 8,
    "U64": 8,
}


class Container(NamedTuple):
    """A file whose layout and hash have been checked, its tensors not yet read.

    Attributes
    ----------
    content : dict
        The JSON text.
    tensors : dict of str to (str, tuple of int)
        Data type and shape of each tensor.
    data : bytes
        The whole file.
    """

    content: dict[str, Any]
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    data: bytes


def pack(content: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Lay content and tensors out as one safetensors file; equal input gives equal bytes."""
    from safetensors.torch import save

    text = canonical(content)
    plain = save(dict(tensors))
    size = int.from_bytes(plain[:8], "little")
    outer = {
        "sha256": _digest(text, json.loads(plain[8 : 8 + size]), plain[8 + size :]),
        "content": json.loads(text),
    }
    del plain
    return save(dict(tensors), metadata={_KEY: canonical(outer)})


def open_container(path: Path) -> Container:
    """Read a file and check its layout and hash.

    Raises
    ------
    ArtifactError
        If the file cannot be read, is of another format, or is damaged.
    """
    data = _read(path)
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        damaged("it ends too early")
    header = _strict_json(data[8 : 8 + size])
    own = header.get("__metadata__") if isinstance(header, dict) else None
    text = own.get(_KEY) if isinstance(own, dict) else None
    if not isinstance(text, str):
        raise ArtifactError(
            "this is a safetensors file, but not one that synthehr wrote",
            hint="give a file written by `synthehr fit`",
        )
    outer = _strict_json(text.encode())
    if not isinstance(outer, dict) or set(outer) != {"sha256", "content"}:
        damaged("its metadata has unknown or missing parts")
    if not isinstance(outer["content"], dict):
        damaged("its metadata has unknown or missing parts")
    tensors = _check_layout(header, len(data) - 8 - size)
    if (
        _digest(canonical(outer["content"]), header, memoryview(data)[8 + size :])
        != outer["sha256"]
    ):
        damaged("its contents do not fit its checksum")
    return Container(outer["content"], tensors, data)


def unpack(container: Container) -> dict[str, torch.Tensor]:
    """Read the tensors of a file."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(container.data)
    except (SafetensorError, ValueError, KeyError) as error:
        damaged(f"its tensors cannot be read ({type(error).__name__})")


def canonical(content: Any) -> str:
    """Write JSON in the one form that is hashed.

    Raises
    ------
    ArtifactError
        If a number is not finite.
    """
    try:
        return json.dumps(
            content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except ValueError:
        raise ArtifactError(
            "the run record holds a number that is not finite",
            hint="fit again with a smaller learning rate: --set train.learning_rate=0.0003",
        ) from None


def damaged(what: str) -> NoReturn:
    """Refuse a model file."""
    raise ArtifactError(
        f"the model file is damaged: {what}",
        hint="fit the model again, or copy the file again from where it was made",
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if len(start) < 8 or int.from_bytes(start, "little") > MAX_HEADER:
                _refuse(path.name, start)
            return start + file.read()
    except FileNotFoundError:
        problem, hint = f"there is no model file {path.name}", "write one with `synthehr fit`"
    except IsADirectoryError:
        problem, hint = f"{path.name} is a folder, not a model file", "give the file inside it"
    except OSError as error:
        problem = f"the model file {path.name} cannot be read ({type(error).__name__})"
        hint = "check that you may read it"
    raise ArtifactError(problem, hint=hint)


def _refuse(name: str, start: bytes) -> NoReturn:
    """Say what a file without a usable header is, by its first bytes."""
    if start[:1] == b"\x80":
        kind = "a pickle, an unsafe format that synthehr never opens"
    elif start[:4] == b"PK\x03\x04":
        kind = "a zip archive, perhaps a PyTorch pickle, which synthehr never opens"
    elif start[:4] in (b"PAR1", b"ARRO"):
        kind = "a table, not a model file"
    elif len(start) < 8:
        kind = "too short to be a model file"
    else:
        kind = "not a model file, or its header is damaged or too large"
    raise ArtifactError(f"{name} is {kind}", hint="give a file written by `synthehr fit`")


def _check_layout(header: Mapping[str, Any], size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Check that the tensors fill the data exactly, each with the bytes its shape needs."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            start, stop = (int(offset) for offset in entry["data_offsets"])
            shape = tuple(int(extent) for extent in entry["shape"])
            needed = _BYTES[entry["dtype"]]
        except (KeyError, TypeError, ValueError):
            damaged("a tensor is described wrongly")
        for extent in shape:
            needed *= extent
        if min(shape, default=0) < 0 or stop - start != needed:
            damaged("a tensor's shape does not fit its bytes")
        tensors[name] = (entry["dtype"], shape)
        spans.append((start, stop))
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            damaged("its tensors overlap or leave gaps")
        end = stop
    if end != size:
        damaged("its length does not fit its header")
    return tensors


def _strict_json(text: bytes) -> Any:
    def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        pairs = list(pairs)
        found = dict(pairs)
        if len(found) != len(pairs):
            damaged("a key stands twice in its header")
        return found

    def not_finite(_: str) -> NoReturn:
        damaged("a number in its header is not finite")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=not_finite)
    except (ValueError, RecursionError):
        damaged("its header is not valid JSON")


def _digest(text: str, header: Mapping[str, Any], data: bytes | memoryview) -> str:
    """Hash the JSON text, what the header says of each tensor, and the tensors' bytes."""
    described = {name: entry for name, entry in header.items() if name != "__metadata__"}
    digest = hashlib.sha256(text.encode())
    digest.update(canonical(described).encode())
    digest.update(data)
    return digest.hexdigest()

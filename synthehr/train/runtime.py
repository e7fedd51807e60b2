"""Device, precision and seeds of a run."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from synthehr.errors import TrainingError

Precision = Literal["float32", "bfloat16"]

INTEL = ("GenuineIntel", "Intel64")
"""How systems say who made a CPU, where it was Intel."""

_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Runtime:
    """Where a model is trained.

    Attributes
    ----------
    device : torch.device
        Holds the weights and the records.
    fast_bfloat16 : bool
        Whether the device multiplies bfloat16 matrices faster than float32 ones.
    """

    device: torch.device
    fast_bfloat16: bool

    def precision(self, wish: Literal["auto", "float32", "bfloat16"]) -> Precision:
        """Settle a wish: "auto" takes bfloat16 where it is fast."""
        if wish == "auto":
            return "bfloat16" if self.fast_bfloat16 else "float32"
        return wish

    def autocast(self, precision: Precision) -> AbstractContextManager[object]:
        """Context of the forward pass in a precision."""
        if precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def generator(self) -> torch.Generator:
        """The device's own generator, which dropout and the like draw from."""
        if self.device.type == "cuda":
            return torch.cuda.default_generators[self.device.index or 0]
        return torch.default_generator


def find_runtime(device: str | None = None) -> Runtime:
    """Take the device asked for; else a CUDA device if there is one, else the CPU."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    found = torch.device(device)
    if found.type == "cuda":
        found = torch.device("cuda", found.index or 0)
        return Runtime(found, torch.cuda.get_device_capability(found) >= (8, 0))
    return Runtime(found, found.type == "cpu" and _multiplies_bfloat16_fast())


@cache
def _multiplies_bfloat16_fast() -> bool:
    """Whether bfloat16 is worth it here: Intel's AVX-512 alone takes longer than for float32."""
    return _cpu_has("amx_tile") or (_cpu_has("avx512_bf16") and not _is_intel())


def _is_intel() -> bool:
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")[:4096]
    except OSError:
        said = platform.processor()
    return any(name in said for name in INTEL)


def _cpu_has(feature: str) -> bool:
    """Ask torch for a feature of the CPU; versions before 2.6 do not know them all."""
    ask = getattr(torch.cpu, f"_is_{feature}_supported", None)
    return ask is not None and ask()


def mix(seed: int, *path: int) -> int:
    """Derive a 63-bit seed from a seed and a path of integers, such as a step.

    The seed of step t needs no history, so a run can be taken up at any step. SplitMix64
    (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
    """
    state = seed & _MASK
    for part in (seed >> 64, *path):
        state = (state + 0x9E3779B97F4A7C15 * ((part & _MASK) + 1)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


@contextmanager
def isolated(runtime: Runtime) -> Iterator[None]:
    """Flush denormal numbers, and give the caller's random state back at the end."""
    devices = [runtime.device.index] if runtime.device.type == "cuda" else []
    flushed = (torch.tensor(1e-38) * 1e-4).item() == 0.0
    torch.set_flush_denormal(True)
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        torch.set_flush_denormal(flushed)


@contextmanager
def memory_guarded() -> Iterator[None]:
    """Turn the several errors of a full memory into one.

    Raises
    ------
    TrainingError
        The memory does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # The CPU's allocator has no error class of its own.
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if known or "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise TrainingError(
                "the memory does not suffice to train this model",
                hint="train on smaller batches: --set train.batch_size=128",
            ) from None
        raise

"""Settings of the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synthehr.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """How columns become tokens and parts.

    Attributes
    ----------
    rare_patients : int
        A level, an atom or a part is stored only where at least this many patients hold it.
    bins : int
        Most quantile bins a numeric column is cut into.
    parts : int
        Most parts a bin is cut into.
    atom_share : float
        Share of the non-null records from which a single numeric value becomes a token.
    discrete_values : int
        A numeric column of at most this many common values keeps each as a token ...
    discrete_share : float
        ... where they cover at least this share of its non-null records.
    extremes : {"trim", "mean"}
        Where a numeric column ends: at the k-th patient from either end, or where draws from
        the part of the k outermost patients have their rounded mean.
    rare : {"draw", "mark"}
        What a pooled level decodes to: a draw among the kept levels, or the text `_RARE_`
        (text columns only).
    max_tokens : int
        Most tokens of one column; the rarest levels beyond are pooled.
    """

    rare_patients: int = 10
    bins: int = 64
    parts: int = 32
    atom_share: float = 0.005
    discrete_values: int = 128
    discrete_share: float = 0.95
    extremes: Literal["trim", "mean"] = "trim"
    rare: Literal["draw", "mark"] = "draw"
    max_tokens: int = 32_000

    def __post_init__(self) -> None:
        for name in ("rare_patients", "bins", "parts", "discrete_values"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"encode.{name} must be 1 or more", hint=f"for example --set encode.{name}=10"
                )
        if not 3 <= self.max_tokens <= 32_000:
            raise ConfigError(
                "encode.max_tokens must lie between 3 and 32000", hint="leave it at 32000"
            )
        if self.bins > 8192 or self.parts > 1024:
            raise ConfigError(
                "encode.bins may be at most 8192 and encode.parts at most 1024",
                hint="leave them at 64 and 32",
            )
        if self.extremes not in ("trim", "mean"):
            raise ConfigError(
                "encode.extremes must be trim or mean", hint="--set encode.extremes=trim"
            )
        if self.rare not in ("draw", "mark"):
            raise ConfigError("encode.rare must be draw or mark", hint="--set encode.rare=draw")

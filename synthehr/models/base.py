"""The contract of a model: yield losses, sample codes, say how good you are.

A model *yields* its losses and the training loop owns everything else: zeroing,
backward, clipping, stepping, precision, and later the noise of differential
privacy. After each yield the loop has stepped the optimiser of the named child,
so a GAN yields its critic's loss, then its generator's, in one call::

    loop                                   model.losses(batch, step)
    ----                                   -------------------------
    next() ------------------------------> computes, yields Loss("critic", …)
    backward, clip, step the critic
    next() ------------------------------> computes, yields Loss("generator", …)
    backward, clip, step the generator

A model is one file: a frozen config, a final class below `Model`, and one line in
`synthehr.models.MODELS`. `tests/test_contract.py` says what it still owes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.encode.fields import Fields
from synthehr.errors import ConditionError, ConfigError

OPEN = -1
"""Code of a cell that is not given: the model draws it."""


class Batch(NamedTuple):
    """Records as codes, on the device.

    Attributes
    ----------
    codes : Tensor of shape (B, 2, D), int64
        Tokens and parts, see `synthehr.encode.fields`.
    condition : Tensor of shape (B, 2), int64, or None
        For ``batching = "balanced"``: the index of the column that was balanced in
        each record, and the token it holds there.
    generator : torch.Generator
        The source of all randomness of this step, seeded by the loop.
    asked : Tensor of shape (B, 2), int64, or None
        Likewise what made-up records are asked for; no patient is to be seen in it.
    filled : Tensor of shape (B,), bool, or None
        Under differential privacy: which records are there; the others are blanks, whose
        losses do not count. A model that draws nothing more may drop them, see `present`.
    """

    codes: Tensor
    condition: Tensor | None
    generator: torch.Generator
    asked: Tensor | None = None
    filled: Tensor | None = None

    def present(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """Leave the blanks out of tensors of shape (B, …).

        Only once every random number of the step is drawn: else a record that joins the
        batch moves the numbers of the others, and differential privacy breaks (refused by
        `synthehr.privacy.allowed.rehearse`).
        """
        return rows if self.filled is None else tuple(row[self.filled] for row in rows)


class Loss(NamedTuple):
    """A loss and the sub-module that it trains.

    Attributes
    ----------
    child : str
        Name of the sub-module, and so of the optimiser.
    per_record : Tensor of shape (B,), or None
        The part that saw patient records; (P,) where a model dropped all but P of them.
        A patient with several visits is one record: the sum over his visits, divided by
        nothing but public constants, see `synthehr.models.owners`.
    public : Tensor, scalar, or None
        The part that saw only noise and weights.
    """

    child: str
    per_record: Tensor | None = None
    public: Tensor | None = None


class Legal(Protocol):
    """Which tokens and parts of a column are legal beside those that are drawn already."""

    @property
    def order(self) -> tuple[int, ...]:
        """All columns, those that determine others before them."""
        ...

    def allowed(self, column: int, codes: Tensor, known: Tensor) -> Tensor | None:
        """Say what is legal, (n, size, parts) bool; None where no rule speaks of it.

        Of codes, (n, 2, D), only the known columns, (n, D) bool, are looked at.
        """
        ...


@dataclass(frozen=True)
class Given:
    """What is known of the records to draw.

    Attributes
    ----------
    codes : Tensor of shape (n, 2, D), int64, or None
        Known tokens and parts; `OPEN` where the model draws. A known token may have
        an open part. None: nothing is known.
    allowed : mapping from column index to Tensor of shape (size, parts)
        For columns restricted to a set or a range: weight in [0, 1] of each part of
        each token (0 forbidden, 1 wholly allowed, between: partly inside a range).
    legal : Legal or None
        Rules that records keep, as far as tokens and parts can tell. Only a model with
        `native_conditions` is told.
    of_visits : Legal or None
        The same for the visits of a patient; its columns are those that patients have once,
        then those of visits. A model may leave it unheeded.
    """

    codes: Tensor | None = None
    allowed: Mapping[int, Tensor] = field(default_factory=dict)
    legal: Legal | None = None
    of_visits: Legal | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked of the records."""
        return self.codes is None and not self.allowed


NOTHING_GIVEN = Given()


def refuse_conditions(given: Given) -> None:
    """Refuse what is given, on behalf of a model that only draws freely."""
    if not given.is_open:
        raise ConditionError(
            "this model cannot draw under conditions by itself",
            hint="draw freely and keep what satisfies them, or fit --model autoregressive",
        )


class RecordSet(Protocol):
    """Records that are more than codes of a table, on one device."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that they consist of."""
        ...

    def __len__(self) -> int:
        """Count them."""
        ...

    def to(self, device: torch.device, /) -> Self:
        """Move them to a device."""
        ...

    def take(self, index: Tensor, generator: torch.Generator) -> Any:
        """Make a batch of those at an index, (B,)."""
        ...


Records = Tensor | RecordSet
"""Records of a table, codes of shape (N, 2, D), or others."""


class Learner(Protocol):
    """What the training loop asks of a model, whatever it learns."""

    def losses(self, batch: Any, step: int, /) -> Iterator[Loss]:
        """Yield the losses of one step."""
        ...

    def held_out_loss(self, records: Any, /) -> float:
        """Score held-out records."""
        ...


class Model(nn.Module, ABC):
    """Abstract base of every table model.

    Class attributes
    ----------------
    Config : type
        The model's frozen dataclass of settings, at most 12 fields.
    batching : {"shuffled", "balanced"}
        How the loop draws its batches.
    native_conditions : bool
        Whether `sample` honours every `Given` exactly by itself. Otherwise the caller
        draws and rejects.
    private_settings : mapping
        Settings that are better under differential privacy, in the groups "model",
        "train" and "privacy".
    private_only : mapping
        Settings of the group "model" that differential privacy needs: others mix records.
    """

    Config: ClassVar[type]
    batching: ClassVar[Literal["shuffled", "balanced"]] = "shuffled"
    native_conditions: ClassVar[bool] = False
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    private_only: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    @abstractmethod
    def build(cls, fields: Fields, config: Any) -> Self:
        """Make a freshly initialised model for these columns."""

    @classmethod
    @abstractmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> Any:
        """Choose a `Config` for a table of this size, with the user's settings on top."""

    @classmethod
    @abstractmethod
    def train_config(cls, fields: Fields, n_records: int, config: Any) -> TrainConfig:
        """Choose how to train a model of this config on a table of this size."""

    @abstractmethod
    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        """Yield the losses of one step, in the order in which they are to be stepped."""

    @abstractmethod
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw codes of shape (n, 2, D), int64, without gradients, in evaluation mode."""

    @abstractmethod
    def held_out_loss(self, codes: Tensor) -> float:
        """Score held-out records, (N, 2, D); lower is better, equal input gives equal output."""

    def complete(
        self,
        codes: Tensor,
        barred: Mapping[int, Tensor],
        generator: torch.Generator,
        legal: Legal | None = None,
        draw: int = 0,
    ) -> Tensor:
        """Draw the open cells of records, jointly and given all others, without gradients.

        Parameters
        ----------
        codes : Tensor of shape (n, 2, D), int64
            Token and part of each cell, both `OPEN` where it is to be drawn.
        barred : mapping from column index to Tensor of shape (size,), bool
            Tokens that are never drawn.
        generator : torch.Generator
            Which of its numbers a record gets hangs on the record's place alone.
        legal : Legal or None
            Rules that records keep; a model may leave them to the caller.
        draw : int
            From 1 on, which of several draws that are to differ as much as the model is unsure;
            0: one draw by its best estimate. A model that knows of no doubt takes no notice.

        Returns
        -------
        Tensor of shape (n, 2, D), int64

        Raises
        ------
        ConfigError
            The model has no way to do this.
        """
        raise ConfigError(
            "this model cannot fill holes", hint="fit with --model autoregressive, vae or gain"
        )

    def token_chances(
        self, codes: Tensor, barred: Mapping[int, Tensor]
    ) -> tuple[Tensor, ...] | None:
        """Say how likely each token of an open cell is, given all known cells of its record.

        Parameters as of `complete`: D Tensors of shape (n, size). None, where the model cannot
        compute it.
        """
        return None

    def record_losses(self, codes: Tensor) -> Tensor | None:
        """Score each record, (N, 2, D), without gradients: (N,), lower for likelier ones.

        Equal records have equal scores. None, where the model knows no likelihood.
        """
        return None

    def begin(self, codes: Tensor, patients: Tensor | None, generator: torch.Generator) -> None:
        """Learn what is learned before training, from the records trained on.

        Parameters
        ----------
        codes : Tensor of shape (N, 2, D), int64
            The records. None of them is seen under differential privacy: this is not called.
        patients : Tensor of shape (N,), int64, or None
            Whose each of them is; None where each record is a patient.
        generator : torch.Generator
            The source of all randomness.
        """

    def finish(self, codes: Tensor) -> None:
        """Do what is left to do after training, with the records trained on, (N, 2, D)."""

"""The contract of a model of visits: yield losses, sample patients, say how good you are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self, final

import torch
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.encode.sequence import SequenceCodes, SequenceFields
from synthehr.models.base import NOTHING_GIVEN, Given, Loss, Model


class SequenceBatch(NamedTuple):
    """Patients with their visits, padded to the longest.

    Attributes
    ----------
    static : Tensor of shape (B, 2, S), int64
        Tokens and parts of what patients have once.
    visits : Tensor of shape (B, T, 2, D), int64
        Of their visits; 0 beyond a patient's last.
    present : Tensor of shape (B, T), bool
        Which visits there are.
    generator : torch.Generator
        The source of all randomness of this step, seeded by the loop.
    filled : Tensor of shape (B,), bool, or None
        Under differential privacy: which patients are there, as of
        `synthehr.models.base.Batch`; T is public then.
    """

    static: Tensor
    visits: Tensor
    present: Tensor
    generator: torch.Generator
    filled: Tensor | None = None

    def without_blanks(self, *cells: Tensor) -> tuple[SequenceBatch, *tuple[Tensor, ...]]:
        """Leave out blanks, and places behind the last visit of all, here and in (B, T, …).

        Only once every random number of the step is drawn, for each place and not for each
        visit: else a patient moves the numbers of the others.
        """
        if self.filled is None:
            return self, *cells
        present = self.present[self.filled]
        longest = max(1, int(present.sum(1).max())) if len(present) else 1
        kept = (part[self.filled][:, :longest] for part in (self.visits, *cells))
        visits, *rest = kept
        there = SequenceBatch(
            self.static[self.filled], visits, present[:, :longest], self.generator
        )
        return there, *rest


@final
@dataclass(frozen=True)
class Sequences:
    """Encoded patients as tensors, see `synthehr.encode.sequence.SequenceCodes`.

    Attributes
    ----------
    static : Tensor of shape (P, 2, S)
    visits : Tensor of shape (V, 2, D)
    starts : Tensor of shape (P + 1,), int64
    """

    static: Tensor
    visits: Tensor
    starts: Tensor

    @classmethod
    def of(cls, codes: SequenceCodes) -> Sequences:
        """Take codes as they are, without a copy."""
        return cls(*(torch.from_numpy(array) for array in codes))

    def codes(self) -> SequenceCodes:
        """Give the codes as arrays."""
        return SequenceCodes(*(part.cpu().numpy() for part in self.tensors))

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three tensors."""
        return self.static, self.visits, self.starts

    @property
    def lengths(self) -> Tensor:
        """Number of visits of each patient, (P,)."""
        return self.starts.diff()

    def __len__(self) -> int:
        """Count the patients."""
        return len(self.starts) - 1

    def nobody(self) -> Sequences:
        """Keep no patient."""
        return Sequences(self.static[:0], self.visits[:0], self.starts[:1])

    def to(self, device: torch.device) -> Sequences:
        """Move the tensors to a device."""
        return Sequences(*(part.to(device) for part in self.tensors))

    def take(self, index: Tensor, generator: torch.Generator) -> SequenceBatch:
        """Take patients at an index, (B,), padded to the longest of them."""
        lengths = self.lengths[index]
        steps = torch.arange(int(lengths.max()), device=index.device)
        present = steps < lengths[:, None]
        rows = (self.starts[index][:, None] + steps).clamp_(max=len(self.visits) - 1)
        visits = self.visits[rows].long() * present[..., None, None]
        return SequenceBatch(self.static[index].long(), visits, present, generator)


class SequenceModel(nn.Module, ABC):
    """Abstract base of every model of visits.

    Class attributes
    ----------------
    Config : type
        The model's frozen dataclass of settings, at most 12 fields.
    private_settings : mapping
        Settings that are better under differential privacy, in the groups "model", "train" and
        "privacy".
    private_only : mapping
        Settings of the group "model" that it needs.

    Attributes
    ----------
    static : Model or None
        The model of what patients have once; None where there are no such columns.
    """

    Config: ClassVar[type]
    static: Model | None
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    private_only: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    @abstractmethod
    def build(cls, fields: SequenceFields, config: Any) -> Self:
        """Make a freshly initialised model for these columns."""

    @classmethod
    @abstractmethod
    def sized(cls, fields: SequenceFields, n_patients: int, settings: Mapping[str, Any]) -> Any:
        """Choose a `Config` for so many patients, with the user's settings on top."""

    @classmethod
    @abstractmethod
    def train_config(cls, fields: SequenceFields, n_patients: int, config: Any) -> TrainConfig:
        """Choose how to train a model of this config on so many patients."""

    @abstractmethod
    def losses(self, batch: SequenceBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of one step, per patient, in the order in which they are stepped."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator, given: Given = NOTHING_GIVEN) -> Sequences:
        """Draw patients with their visits, without gradients, in evaluation mode.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator
            The source of randomness.
        given : Given
            What is known of the columns that patients have once, and what rules allow.
        """

    @abstractmethod
    def proceed(
        self, past: Sequences, steps: int, draws: int, generator: torch.Generator
    ) -> Tensor:
        """Draw the next visits of given patients, each given those before it.

        Parameters
        ----------
        past : Sequences
            P patients and their visits so far.
        steps : int
            How many visits to draw; that a patient's visits end is not drawn.
        draws : int
            How often.
        generator : torch.Generator
            The source of randomness.

        Returns
        -------
        Tensor of shape (P, draws, steps, 2, D), int64
            What would be measured: a cell that is drawn null is drawn once more without null,
            and the visits after it see the null.
        """

    @abstractmethod
    def complete(
        self, records: Sequences, barred: Mapping[int, Tensor], generator: torch.Generator
    ) -> Tensor:
        """Draw the open cells of visits given all known cells of the patient.

        Cells of one visit are drawn jointly; those of different visits each given what is known.

        Parameters
        ----------
        records : Sequences
            Patients; `OPEN` where a cell of a visit is to be drawn. Static cells are known.
        barred : mapping from column index to Tensor of shape (size,), bool
            Tokens that are never drawn.
        generator : torch.Generator
            The source of randomness.

        Returns
        -------
        Tensor of shape (V, 2, D), int64

        Raises
        ------
        ConfigError
            The model has no way to do this.
        """

    @abstractmethod
    def token_chances(
        self, records: Sequences, barred: Mapping[int, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Say how likely each token of an open cell is, D times (V, size); as `complete`."""

    @abstractmethod
    def held_out_loss(self, records: Sequences) -> float:
        """Score held-out patients; lower is better, equal input gives equal output."""

    def patient_losses(self, records: Sequences) -> Tensor | None:
        """Score each patient without gradients, in evaluation mode: (P,), lower for likelier ones.

        Equal patients have equal scores. None, where the model knows no likelihood.
        """
        return None

    def begin(self, records: Sequences, generator: torch.Generator) -> None:
        """Learn what is learned before training, from the patients trained on."""

    def finish(self, records: Sequences) -> None:
        """Do what is left to do after training, with the patients trained on."""

    def adjust(self, records: Sequences) -> None:
        """Bring what is drawn nearer to the patients trained on.

        After `finish`; never under differential privacy, where `settle` is called in its place.
        """

    def settle(self, generator: torch.Generator) -> None:
        """Bring what is drawn nearer to the shares of the fields; no patient is looked at."""

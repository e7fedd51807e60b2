"""Added records around real ones: some cells of a patient stay, the model draws the others.

Between a copy, which only says again what few patients said, and a record of the model alone,
which is a little off in every column at once: as SMOTE (Chawla et al. 2002,
doi:10.1613/jair.953), it stays near a real patient of the class, but what changes is drawn
given what stays, and not from the line to another patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.artifact import Artifact
from synthehr.errors import ConfigError
from synthehr.models.base import OPEN
from synthehr.modes.classes import Classes
from synthehr.modes.constraints import Rules
from synthehr.modes.rule_checks import any_broken
from synthehr.seeds import ANCHORS, generator

KEEP = 0.5
"""Chance that a cell stays, where nothing else is asked for."""


def settled_keep(artifact: Artifact, keep: float | None) -> float:
    """Say with which chance cells of a real patient stay.

    A model under differential privacy keeps none unless it is told to: what is kept is not
    on its ledger.

    Raises
    ------
    ConfigError
        It is no chance below 1, or the model cannot draw around known cells.
    """
    able = artifact.model.native_conditions
    if keep is None:
        return KEEP if able and artifact.record.get("privacy") is None else 0.0
    if not 0 <= keep < 1:
        raise ConfigError(
            "--keep must be 0 or more, and below 1",
            hint="0 draws added records from the model alone",
        )
    if keep and not able:
        raise ConfigError(
            "this model cannot draw around cells that are kept",
            hint="leave --keep out, or fit --model autoregressive",
        )
    return keep


@dataclass(frozen=True)
class Anchors:
    """Real records, class by class, some cells of which added ones keep.

    Attributes
    ----------
    codes : Tensor of shape (N, 2, D), int64
        The real records; `OPEN` where the model knows nothing of a cell.
    of_record : ndarray of shape (N,), int64
        Their classes; -1 of a record that nothing is kept of.
    owners : ndarray of shape (N,), int64
        Their patients.
    keep : float
        The chance that a cell stays.
    """

    codes: Tensor
    of_record: NDArray[np.int64]
    owners: NDArray[np.int64]
    keep: float

    @classmethod
    def of(
        cls,
        table: pa.Table,
        codes: NDArray[np.int64],
        classes: Classes,
        owners: NDArray[np.int64] | None,
        rules: Rules,
        keep: float,
    ) -> Anchors:
        """Take the records that break no rule: of others, what stays might be why.

        Parameters
        ----------
        table : Table of N rows
        codes : ndarray of shape (N, 2 * D), int64
        classes : Classes
        owners : ndarray of shape (N,), int64, or None
            Their patients; None where each record is one.
        rules : Rules
        keep : float
        """
        broken = any_broken(rules.about(table.column_names), table)
        patients = np.arange(len(codes)) if owners is None else owners
        unfolded = torch.from_numpy(codes).unflatten(1, (2, -1))
        return cls(unfolded, np.where(broken, -1, classes.of_record), patients, keep)

    def around(self, wanted: Tensor, of_added: NDArray[np.int64], seed: int) -> Tensor:
        """Keep cells of real records where nothing is wanted yet.

        Parameters
        ----------
        wanted : Tensor of shape (M, 2, D), int64
            Known codes of the added records, else `OPEN`.
        of_added : ndarray of shape (M,), int64
            Their classes.
        seed : int
            Equal seeds keep equal cells.

        Returns
        -------
        Tensor of shape (M, 2, D), int64
        """
        random = generator(seed, ANCHORS)
        is_kept = random.random((len(wanted), wanted.shape[2])) < self.keep
        around = wanted.clone()
        for number in np.unique(of_added):
            members = np.flatnonzero(self.of_record == number)
            if not len(members):
                continue
            rows = np.flatnonzero(of_added == number)
            dealt = members[_in_turns(self.owners[members], len(rows), random)]
            kept = torch.from_numpy(is_kept[rows])[:, None] & (wanted[rows] == OPEN)
            around[rows] = self.codes[dealt].where(kept, wanted[rows])
        return around


def _in_turns(owners: NDArray[np.int64], n: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Choose n records so that patients take turns, however many records each has; (n,)."""
    order = np.argsort(owners, kind="stable")
    starts, counts = np.unique(owners[order], return_index=True, return_counts=True)[1:]
    rounds = -(-n // len(starts))
    turns = np.concatenate([random.permutation(len(starts)) for _ in range(rounds)])[:n]
    return order[starts[turns] + (random.random(n) * counts[turns]).astype(np.int64)]

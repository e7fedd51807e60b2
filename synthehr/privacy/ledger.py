"""The ledger: everything that touched the records, and the claim that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

from synthehr.errors import ConfigError
from synthehr.privacy import mechanisms
from synthehr.privacy.accountant import UNIT, epsilon
from synthehr.privacy.mechanisms import Mechanism

RELATION = "add or remove one patient"
LARGE = 10.0
"""Beyond this ε the guarantee says next to nothing."""
FALSE_ALARMS = 0.01
STEERING_SHARE = 0.1
"""Share of δ for entries that steer, where there are any."""
TRAINING = "training"
"""What the entry of DP-SGD is called."""


@final
@dataclass(frozen=True)
class Entry:
    """One mechanism that touched the records.

    Attributes
    ----------
    what : str
        What was learned by it, such as "training"; never a value of a cell.
    mechanism : Mechanism
        How it was protected.
    steers : bool
        Whether later noise, rates or steps were chosen by its answers.
    """

    what: str
    mechanism: Mechanism
    steers: bool = False


@final
@dataclass(frozen=True)
class Ledger:
    """All mechanisms of one fit; their sum is the claim.

    Attributes
    ----------
    delta : float
        The δ that the claim is stated for.
    public_patients : int
        The number of patients that was declared before a record was read; everything that
        hangs on a number of patients hangs on this one.
    entries : tuple of Entry
        What touched the records, in order.
    public : tuple of str
        What was declared and not measured.
    """

    delta: float
    public_patients: int
    entries: tuple[Entry, ...] = ()
    public: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1 / self.public_patients:
            raise ConfigError(
                f"delta must lie between 0 and 1 / {self.public_patients}, the number of patients",
                hint=f"for example --delta {suggested_delta(self.public_patients):g}",
            )

    def charged(self, *entries: Entry) -> Ledger:
        """Give the ledger with more entries."""
        return replace(self, entries=(*self.entries, *entries))

    @cached_property
    def epsilon(self) -> float:
        """The ε of all entries together, rounded up.

        Accountants compose mechanisms whose noise is fixed in advance. What steers later noise
        has a share of δ of its own, and its ε is added: that holds whatever is steered.
        """
        steering = [entry.mechanism for entry in self.entries if entry.steers]
        rest = [entry.mechanism for entry in self.entries if not entry.steers]
        if not steering:
            return epsilon(rest, self.delta)
        before = epsilon(steering, STEERING_SHARE * self.delta)
        return round(before + epsilon(rest, (1 - STEERING_SHARE) * self.delta), 9)

    def claim(self) -> Sequence[str]:
        """Say in words what is guaranteed, from the entries alone."""
        spent = self.epsilon
        if not math.isfinite(spent):
            return ("No guarantee: the entries cost more than any finite ε.",)
        power = most_true_alarms(spent, self.delta, FALSE_ALARMS)
        said = [
            f"The model is ({spent:.3f}, {self.delta:g})-differentially private, for neighbours "
            f"that {RELATION}.",
            f"Whoever knows everything but whether one patient was in the data, and is wrong "
            f"about at most {FALSE_ALARMS:.0%} of those who were not, finds out at most "
            f"{power:.1%} of those who were.",
            f"Public was that there are about {self.public_patients} patients, and: "
            f"{', '.join(self.public) or 'nothing else'}.",
        ]
        if spent > LARGE:
            said.append(f"An ε beyond {LARGE:g} promises next to nothing.")
        return tuple(said)

    def to_json(self) -> dict[str, Any]:
        """Give the ledger as JSON values, with what each entry costs alone."""
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "unit": "patient",
            "relation": RELATION,
            "public_patients": self.public_patients,
            "public": list(self.public),
            "entries": [
                {
                    "what": entry.what,
                    "steers": entry.steers,
                    **mechanisms.to_json(entry.mechanism),
                    "epsilon_alone": epsilon([entry.mechanism], self.delta),
                }
                for entry in self.entries
            ],
            "claim": list(self.claim()),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Ledger:
        """Read what `to_json` gave; the claim is derived anew.

        Raises
        ------
        ConfigError
            The entries do not add up to the ε that is stated.
        """
        entries = []
        for line in values["entries"]:
            rest = {k: v for k, v in line.items() if k in mechanisms.KEYS}
            entries.append(Entry(line["what"], mechanisms.from_json(rest), line["steers"]))
        ledger = cls(
            values["delta"], values["public_patients"], tuple(entries), tuple(values["public"])
        )
        if not abs(ledger.epsilon - values["epsilon"]) <= 2 * UNIT:
            raise ConfigError(
                "the entries of the privacy ledger do not add up to the ε it states",
                hint="the file was changed, or written by another version; fit again",
            )
        return ledger


def check_spent(ledger: Mapping[str, Any], steps: int) -> None:
    """Refuse to write down a claim that does not follow from its entries and from training.

    Parameters
    ----------
    ledger : mapping
        As `Ledger.to_json` gives it.
    steps : int
        Updates of the weights.

    Raises
    ------
    ConfigError
        If the entries do not add up, or account for another number of steps.
    """
    entries = Ledger.from_json(ledger).entries
    accounted = sum(entry.mechanism.times for entry in entries if entry.what == TRAINING)
    if accounted != steps:
        raise ConfigError(
            f"the weights were updated {steps} times, and {accounted} are accounted for",
            hint="fit again; nothing is claimed of this model",
        )


def most_true_alarms(epsilon: float, delta: float, false_alarms: float) -> float:
    """Bound the true positive rate of any membership test at a false positive rate.

    Kairouz, Oh and Viswanath 2015, arXiv:1311.0776, theorem 2.1.
    """
    by_ratio = math.exp(min(epsilon, 700.0)) * false_alarms + delta
    by_complement = 1 - math.exp(-epsilon) * (1 - delta - false_alarms)
    return min(1.0, by_ratio, by_complement)


def suggested_delta(patients: int) -> float:
    """Give a power of ten that is at most a tenth of one over the number of patients."""
    return 10.0 ** -(math.ceil(math.log10(max(patients, 2))) + 1)

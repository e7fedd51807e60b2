"""Settings of a fit under differential privacy."""

from __future__ import annotations

from dataclasses import dataclass

from synthehr.config import out_of_range
from synthehr.errors import ConfigError

MOST_VISITS = 100
"""Records of a patient that are told apart, at most."""


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """The differential privacy that is asked of a whole fit.

    Attributes
    ----------
    epsilon : float
        Its ε, of everything that touches the records.
    delta : float or None
        The δ beside it; by default a power of ten, at most a tenth of one over the patients.
    public_rows : int or None
        About how many patients there are (records, where each is one), in public.
    discover : bool
        Whether to measure what is not declared in public, at a price.
    """

    epsilon: float
    delta: float | None = None
    public_rows: int | None = None
    discover: bool = False


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig:
    """How a fit under differential privacy spends what it may.

    Attributes
    ----------
    marginals : float
        Share of the budget for noisy marginals, of columns and of pairs of them; DP-SGD has
        the rest.
    clip : float
        Largest norm of one patient's gradient.
    rounds : int
        Rounds in which the model is matched to the marginals before DP-SGD; one more follows it.
    round_steps : int
        Plain steps of a round; no record is looked at in them.
    max_visits : int
        Visits of a patient that count, from the first on; later ones are left out.
    max_shown : int
        Where each record is a row by itself and patients may have several: how many of a patient
        a batch shows at most, drawn anew each time. Their losses are summed, then clipped.
    """

    marginals: float = 0.8
    clip: float = 1.0
    rounds: int = 4
    round_steps: int = 300
    max_visits: int = 32
    max_shown: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.marginals < 1:
            raise out_of_range("marginals", "above 0 and below 1")
        if self.clip <= 0:
            raise out_of_range("clip", "above 0")
        if self.rounds < 0 or self.round_steps < 1:
            raise out_of_range("rounds or round_steps", "at least 0 and 1")
        if not 2 <= self.max_visits <= MOST_VISITS:
            raise out_of_range("max_visits", f"at least 2 and at most {MOST_VISITS}")
        if not 1 <= self.max_shown <= MOST_VISITS:
            raise out_of_range("max_shown", f"at least 1 and at most {MOST_VISITS}")


def asked(
    epsilon: float | None, delta: float | None, public_rows: int | None, discover: bool
) -> Privacy | None:
    """Put what the command line was told together; None where it asks for no privacy.

    Raises
    ------
    ConfigError
        If something is told that means nothing without an ε.
    """
    if epsilon is not None:
        return Privacy(epsilon=epsilon, delta=delta, public_rows=public_rows, discover=discover)
    told = {"--delta": delta, "--public-rows": public_rows, "--discover": discover or None}
    for name, value in told.items():
        if value is not None:
            raise ConfigError(f"{name} needs --epsilon", hint="for example --epsilon 3")
    return None

"""`SynthResampler`: synthetic records for rare classes, as a sampler of imbalanced-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from synthehr.errors import ConfigError
from synthehr.estimators.frames import as_frame, fitted, like
from synthehr.modes.prior import PriorCorrection

Counts = Mapping[Any, int]
Strategy = float | str | Counts | Callable[[Any], Counts]
TARGET = "target"
NAMED = ("minority", "not minority", "not majority", "all", "auto")


@final
class SynthResampler(BaseEstimator):
    """Add synthetic records to rare classes.

    Stands in a pipeline of imbalanced-learn like one of its own over-samplers; columns may be
    numbers, texts and dates, with holes. What it adds is drawn by a model of the records and
    their classes together, under the condition that the record is in the class.

    A classifier that gives good probabilities ranks no better for it, and overrates what was
    rare: `prior_` restores its probabilities.

    Parameters
    ----------
    sampling_strategy : float, str, mapping or callable
        How many records the classes shall have: a ratio to the largest class, for each of the
        others; or, as in imbalanced-learn, "minority", "not minority", "not majority", "all"
        or "auto" (the same as "not majority"), which raise these classes to the largest; a
        mapping from class to number of records; or a function of y that gives one.
    model : str
        As in `synthehr.Synthesizer`.
    settings : mapping, optional
        Settings that differ from the defaults, as in `synthehr.Synthesizer`.
    allow_few : bool
        Whether classes of fewer than 20 records may grow.
    keep : float, optional
        The chance with which a cell of a real record stays, around which a record is added, in
        [0, 1); 0: none, and None: .5, where the model can.
    random_state : int, RandomState or None
        Seed of the fit and of what is drawn.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The classes, sorted.
    sampling_strategy_ : dict
        How many records were asked for, class by class.
    prior_ : PriorCorrection
        Restores the probabilities of a classifier that learned from what came out.
    weights_ : ndarray of shape (n + m,)
        Weights by which the classes weigh as much as before.
    synthesizer_ : Synthesizer
        The fitted model.
    """

    _sampling_type = "over-sampling"

    def __init__(
        self,
        *,
        sampling_strategy: Strategy = 0.5,
        model: str = "auto",
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        allow_few: bool = False,
        keep: float | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.model = model
        self.settings = settings
        self.allow_few = allow_few
        self.keep = keep
        self.random_state = random_state

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Give the records and those that were added, with their classes.

        Parameters
        ----------
        X : DataFrame or array of shape (n, d)
            Records.
        y : array of shape (n,)
            Their classes.

        Returns
        -------
        X, y
            Of the types that were given; the given records first.

        Raises
        ------
        SynthehrError
            A class is too small, or the strategy says nothing that can be done.
        """
        from synthehr.io import read, to_pandas
        from synthehr.run.rebalancing import MARK, rebalance

        frame = as_frame(self, X, reset=True)
        labels: NDArray[Any] = np.asarray(column_or_1d(y))
        check_consistent_length(frame, labels)
        check_classification_targets(labels)
        self.classes_, place = np.unique(labels, return_inverse=True)
        records = np.bincount(place)
        self.sampling_strategy_ = _wanted(self.sampling_strategy, labels, self.classes_, records)
        column = TARGET
        while column in frame.columns:
            column += "_"
        # Names of our own: levels are texts, whatever classes are.
        names = np.array([f"class {number:06}" for number in range(len(self.classes_))])
        whole = frame.assign(**{column: names[place]})
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.synthesizer_ = fitted(whole, self.model, self.settings, seed)
        sizes = {
            str(names[k]): float(max(self.sampling_strategy_[name], 2))
            for k, name in enumerate(self.classes_.tolist())
            if self.sampling_strategy_[name] > records[k]
        }
        source = read(whole)
        balanced = rebalance(
            self.synthesizer_.artifact,
            source.table,
            [column],
            sizes,
            seed=seed,
            allow_few=self.allow_few,
            keep=self.keep,
        )
        found = to_pandas(balanced.table, source.pandas_types)
        of_record = np.searchsorted(names, found[column].to_numpy(dtype=names.dtype))
        order = np.argsort([row[column] for row in balanced.levels.to_pylist()])
        prior = balanced.prior
        self.prior_ = PriorCorrection(prior.before[order], prior.after[order])
        self.weights_ = balanced.weights
        classes = self.classes_[of_record]
        if isinstance(y, pd.Series):
            classes = pd.Series(classes, name=y.name, dtype=y.dtype)
        return like(found.drop(columns=[column, MARK]), X), classes

    def __sklearn_tags__(self) -> Tags:
        """Say that holes and texts are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.target_tags.required = True
        return tags


def _wanted(
    strategy: Strategy, labels: NDArray[Any], classes: NDArray[Any], records: NDArray[np.int64]
) -> dict[Any, int]:
    """Say how many records each class shall have at least."""
    names, most = classes.tolist(), int(records.max())
    now = dict(zip(names, records.tolist(), strict=True))
    if callable(strategy):
        strategy = strategy(labels)
    if isinstance(strategy, Mapping):
        unknown = [name for name in strategy if name not in now]
        if unknown:
            raise ConfigError(
                f"{len(unknown)} classes of sampling_strategy are not in y",
                hint="its keys are the classes",
            )
        return now | {name: int(count) for name, count in strategy.items()}
    if isinstance(strategy, str):
        if strategy not in NAMED:
            raise ConfigError(
                "sampling_strategy is none that is known", hint=f"it is one of {', '.join(NAMED)}"
            )
        smallest = names[int(records.argmin())]
        grown = names
        if strategy == "minority":
            grown = [smallest]
        elif strategy == "not minority":
            grown = [name for name in names if name != smallest]
        return now | dict.fromkeys(grown, most)
    if not 0 < strategy <= 1:
        raise ConfigError(
            "a sampling_strategy that is a number must lie in (0, 1]",
            hint="it is the ratio to the largest class",
        )
    return {name: max(count, round(strategy * most)) for name, count in now.items()}

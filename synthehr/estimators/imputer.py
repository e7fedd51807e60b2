"""`SynthImputer`: a fitted synthesizer as a scikit-learn transformer that fills holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from synthehr.estimators.frames import as_frame, fitted, like


@final
class SynthImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill missing cells by a model of all columns together.

    Numbers, whole numbers, booleans, texts and dates may stand side by side, with any of them
    missing. Learns from the records given to `fit`, holes and all, and fills others.

    Parameters
    ----------
    model : str
        As in `synthehr.Synthesizer`: "auto", "autoregressive" or "vae".
    sample_posterior : bool
        Whether cells are drawn. By default they are means and likeliest levels, which suits
        a predictor that follows; for uncertainty see `synthehr.Synthesizer.impute` and
        `synthehr.pool`.
    settings : mapping, optional
        Settings that differ from the defaults, as in `synthehr.Synthesizer`.
    random_state : int, RandomState or None
        Seed of the fit and of what is drawn.

    Attributes
    ----------
    synthesizer_ : Synthesizer
        The fitted model.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of str
        Their names, where they have some.

    Examples
    --------
    >>> import numpy as np
    >>> from synthehr import SynthImputer
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> X[::4, 0] = np.nan
    >>> imputer = SynthImputer(settings={"train": {"steps": 20}}, random_state=0)
    >>> bool(np.isnan(imputer.fit_transform(X)).any())
    False
    """

    def __init__(
        self,
        *,
        model: str = "auto",
        sample_posterior: bool = False,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.sample_posterior = sample_posterior
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the columns together.

        Parameters
        ----------
        X : DataFrame or array of shape (n, d)
            Records, with holes.
        y : None
            Not used.
        """
        frame = as_frame(self, X, reset=True)
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.synthesizer_ = fitted(frame, self.model, self.settings, self.seed_)
        return self

    def transform(self, X: Any) -> Any:
        """Fill the holes of records; of the type and the columns of X.

        Parameters
        ----------
        X : DataFrame or array of shape (n, d)
            Records, fitted or not.
        """
        check_is_fitted(self, "synthesizer_")
        frame = as_frame(self, X, reset=False)
        draws = 1 if self.sample_posterior else 0
        filled = self.synthesizer_.impute(frame, draws=draws, seed=self.seed_)
        if isinstance(X, pd.DataFrame):
            filled.index = X.index
        return like(filled, X)

    def __sklearn_tags__(self) -> Tags:
        """Say that holes and texts are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = self.random_state is None
        return tags

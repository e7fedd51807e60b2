"""Taking back what rebalancing does to the probabilities that a classifier gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthehr.errors import ConfigError


@final
@dataclass(frozen=True)
class PriorCorrection:
    """Shares of the classes before and after records were added.

    A classifier that learned from the balanced table overrates what was rare by the factor
    by which its share has grown. Dividing by it restores the probabilities, as long as the
    added records are like those that were there (Saerens, Latinne and Decaestecker 2002,
    doi:10.1162/089976602753284446, equation 2.4).

    Attributes
    ----------
    before, after : ndarray of shape (K,)
        Shares of the K classes, in the order of the classifier's columns.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]

    def restore(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Turn probabilities under the balanced shares into those under the real ones.

        Parameters
        ----------
        probabilities : array of shape (n, K)
            As `predict_proba` gives them.

        Returns
        -------
        ndarray of shape (n, K)
            Rows sum to 1.

        Raises
        ------
        ConfigError
            They have another number of columns.
        """
        given = np.asarray(probabilities, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != len(self.before):
            raise ConfigError(
                f"probabilities of {len(self.before)} classes need that many columns",
                hint="give what predict_proba returns",
            )
        restored = given * self.before / self.after
        return restored / restored.sum(axis=1, keepdims=True)

"""A Gaussian mixture for the latents of records: the aggregate posterior of an autoencoder."""

from __future__ import annotations

import warnings
from typing import final

import torch
from torch import Tensor, nn

MOST_RECORDS = 20_000
"""Records that the mixture is fitted to, at most."""


@final
class LatentMixture(nn.Module):
    """Gaussians with full covariances; before it is fitted, the standard normal.

    Parameters
    ----------
    components : int
        How many, at most.
    latent : int
        Length of a latent vector.
    """

    weights: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, components: int, latent: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((components,), 1.0 / components))
        self.register_buffer("means", torch.zeros(components, latent))
        self.register_buffer("roots", torch.eye(latent).repeat(components, 1, 1))

    def learn(self, latents: Tensor) -> None:
        """Fit the mixture to latents, (N, latent).

        NOTE[DIFF] no sampling from the prior that training assumed: the mixture closes most of
        the gap between the two for a few seconds of work.
        """
        # heavy to import, and needed once in a model's life
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        most, latent = self.means.shape
        k = max(1, min(most, len(latents) // (8 * latent)))
        mixture = GaussianMixture(
            k, reg_covar=1e-4, max_iter=40, init_params="k-means++", random_state=0
        )
        with warnings.catch_warnings():
            # forty rounds suffice to sample well; the last digits of a fit do not matter
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(latents.double().cpu().numpy())
        self.weights.zero_()
        self.weights[:k] = torch.as_tensor(mixture.weights_, dtype=torch.float32)
        self.means[:k] = torch.as_tensor(mixture.means_, dtype=torch.float32)
        covariances = torch.as_tensor(mixture.covariances_, dtype=torch.float64)
        self.roots[:k] = torch.linalg.cholesky(covariances).float().to(self.roots.device)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw latents, (n, latent); each has random numbers of its own."""
        chosen = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator, device=self.means.device)
        spread = torch.empty_like(noise)
        for component in chosen.unique():
            mine = chosen == component
            spread[mine] = (noise[mine] @ self.roots[component].T).float()
        return self.means[chosen] + spread

"""A variational autoencoder over tokens and parts, with a mixture for its latents.

Training is that of a β-VAE (Higgins et al. 2017): one likelihood for each column, a
categorical over its tokens and one over the parts of the drawn token. Two things make
it sample well, where such models as a rule leave holes between prior and posterior:

- after training a Gaussian mixture is fitted to the latents of the records (the
  aggregate posterior), and latents are drawn from it;
- each drawn record then takes a few *walks*: encode, draw a latent, decode, draw. As a
  chain this has the training distribution as its stationary one (Bengio et al. 2013,
  arXiv:1305.6663, theorem 1), so each walk leads closer to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.config import TrainConfig, apply, out_of_range
from synthehr.encode.fields import Fields
from synthehr.models.base import OPEN, Batch, Given, Legal, Loss, Model, refuse_conditions
from synthehr.models.layers import Reader, around, divergence, residual_body
from synthehr.models.mixture import MOST_RECORDS, LatentMixture
from synthehr.models.spans import Axes, Spans

CHUNK = 8192
REFINEMENTS = 10
"""Rounds in which the open cells of a record are drawn anew."""


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Settings of the variational autoencoder.

    Attributes
    ----------
    width : int
        Width of encoder and decoder.
    depth : int
        Residual blocks of each of them.
    latent : int
        Numbers a record is compressed to.
    beta : float
        Weight of the divergence from the standard normal; 0 makes a plain autoencoder.
    warmup : int
        Steps over which that weight rises.
    components : int
        Gaussians of the mixture, at most.
    walks : int
        Times a drawn record is encoded and drawn again.
    dropout : float
        Share of hidden units silenced in training.
    """

    width: int = 256
    depth: int = 2
    latent: int = 24
    beta: float = 0.3
    warmup: int = 200
    components: int = 32
    walks: int = 3
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("width", "latent", "components"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        for name in ("depth", "beta", "warmup", "walks"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")
        if not 0 <= self.dropout < 1:
            raise out_of_range("dropout", "at least 0 and below 1")


class Autoencoder(nn.Module):
    """Encoder and decoder of the records of a table.

    Parameters
    ----------
    fields : Fields
        The columns.
    config : VAEConfig
        The settings.
    """

    closed_parts: Tensor

    def __init__(self, fields: Fields, config: VAEConfig) -> None:
        super().__init__()
        self.spans = spans = Spans(fields)
        self.axes = axes = Axes(fields, spans)
        width, depth, dropout = config.width, config.depth, config.dropout
        self.encode = Reader(spans, axes, width, depth, config.latent, dropout)
        self.write = nn.Linear(config.latent, width)
        self.decoder = residual_body(width, depth, dropout)
        self.tokens = nn.Linear(width, spans.width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        with torch.no_grad():
            self.tokens.bias.copy_(spans.log_shares)
        cut = [field for field in fields if field.has_parts]
        most_tokens = max((field.size for field in cut), default=1)
        most_parts = max((int(field.parts.max()) for field in cut), default=1)
        # a table without parts keeps a head that nothing reads: torch warns of empty layers
        self.part_shape = (max(len(cut), 1), most_parts)
        self.parts = nn.Linear(width, self.part_shape[0] * most_parts)
        nn.init.zeros_(self.parts.weight)
        self.most_tokens = most_tokens
        self.part_bias = nn.Embedding(self.part_shape[0] * most_tokens, most_parts)
        nn.init.zeros_(self.part_bias.weight)
        closed = torch.zeros(self.part_shape[0], most_tokens, most_parts)
        for place, field in enumerate(cut):
            held = torch.from_numpy(field.parts)[:, None]
            closed[place, : field.size] = torch.where(
                torch.arange(most_parts) < held, 0.0, -torch.inf
            )
        self.register_buffer("closed_parts", closed, persistent=False)

    def decode(self, latent: Tensor) -> Tensor:
        """Hidden state (B, width) from which `tokens` and `parts` are drawn."""
        return self.decoder(self.write(latent))

    def part_logits(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Logits of the parts of the given tokens (B, D); (B, P, parts)."""
        held = tokens[:, self.axes.with_parts]
        column = torch.arange(held.shape[1], device=tokens.device)
        logits = self.parts(hidden).float().view(-1, *self.part_shape)[:, column]
        bias = self.part_bias(column * self.most_tokens + held)
        return logits + bias + self.closed_parts[column, held]

    def surprise(self, latent: Tensor, codes: Tensor) -> Tensor:
        """Negative log-likelihood of codes (B, 2, D) given their latents, (B,), in nats."""
        hidden = self.decode(latent)
        of_tokens = self.spans.surprise(self.tokens(hidden), codes[:, 0]).sum(1)
        logits = self.part_logits(hidden, codes[:, 0]).flatten(0, 1)
        parts = codes[:, 1, self.axes.with_parts]
        of_parts = functional.cross_entropy(logits, parts.flatten(), reduction="none")
        return of_tokens + of_parts.view_as(parts).sum(1)

    def draw(
        self, latent: Tensor, generator: torch.Generator, closed: Tensor | float = 0.0
    ) -> Tensor:
        """Draw codes (B, 2, D) given latents (B, latent); never where `closed` is ``-inf``."""
        hidden = self.decode(latent)
        tokens = self.spans.draw(self.tokens(hidden) + closed, generator)
        codes = torch.stack([tokens, torch.zeros_like(tokens)], dim=1)
        logits = self.part_logits(hidden, tokens)
        uniform = torch.rand(logits.shape[:2], generator=generator, device=tokens.device)
        reached = logits.softmax(2).cumsum(2) < uniform[:, :, None]
        last = self.axes.counts(self.spans.flat(tokens)) - 1
        codes[:, 1, self.axes.with_parts] = torch.minimum(reached.sum(2), last)
        return codes


@final
class VAE(Model):
    """Variational autoencoder; see the module.

    Parameters
    ----------
    fields : Fields
        The columns.
    config : VAEConfig
        The settings.
    """

    Config: ClassVar[type] = VAEConfig
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {"width": 128, "depth": 1, "latent": 16}
    }

    def __init__(self, fields: Fields, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Autoencoder(fields, config)
        self.mixture = LatentMixture(config.components, config.latent)

    @classmethod
    def build(cls, fields: Fields, config: VAEConfig) -> Self:
        """Make a freshly initialised model for these columns."""
        return cls(fields, config)

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> VAEConfig:
        """Choose width and latents by the number of records and columns."""
        small = n_records < 5_000
        chosen = VAEConfig(
            width=128 if small else 256 if len(fields) <= 30 else 384,
            latent=min(48, max(8, 8 + len(fields))),
            dropout=0.1 if small else 0.0,
        )
        return apply(chosen, settings)

    @classmethod
    def train_config(cls, fields: Fields, n_records: int, config: VAEConfig) -> TrainConfig:
        """Choose batch and steps: some forty epochs, within bounds."""
        batch = min(1024, max(64, 1 << (n_records // 24).bit_length()))
        return TrainConfig(
            steps=min(4000, max(600, 40 * n_records // batch)),
            batch_size=batch,
            learning_rate=2e-3,
            weight_decay=1e-4,
            clip=5.0,
            patience=6,
        )

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        """Yield the negative evidence lower bound, with β."""
        rise = min(1.0, (step + 1) / max(self.config.warmup, 1))
        yield Loss("network", per_record=self._bound(batch.codes, rise, batch.generator))

    def _bound(self, codes: Tensor, rise: float, generator: torch.Generator) -> Tensor:
        """Surprise plus weighted divergence of each record, (B,)."""
        mean, log_variance = self.network.encode(codes)
        if self.config.beta == 0:
            return self.network.surprise(mean, codes)
        surprise = self.network.surprise(around(mean, log_variance, generator), codes)
        return surprise + rise * self.config.beta * divergence(mean, log_variance)

    @torch.no_grad()
    def held_out_loss(self, codes: Tensor) -> float:
        """Mean negative bound of the records, with noise from a fixed seed."""
        generator = torch.Generator(codes.device).manual_seed(0)
        bounds = [self._bound(part, 1.0, generator) for part in codes.split(CHUNK)]
        return torch.cat(bounds).mean().item()

    @torch.no_grad()
    def record_losses(self, codes: Tensor) -> Tensor:
        """Negative bound of each record, (N,), at the mean of its latent."""
        bounds = []
        for part in codes.split(CHUNK):
            mean, log_variance = self.network.encode(part)
            surprise = self.network.surprise(mean, part)
            bounds.append(surprise + self.config.beta * divergence(mean, log_variance))
        return torch.cat(bounds)

    @torch.no_grad()
    def finish(self, codes: Tensor) -> None:
        """Fit the mixture of the latents to the records, (N, 2, D)."""
        device = self.mixture.means.device
        generator = torch.Generator(device).manual_seed(0)
        chosen = torch.randperm(len(codes), generator=generator, device=device)
        codes = codes.to(device)[chosen[:MOST_RECORDS]].long()
        self.mixture.learn(torch.cat([self._latent(p, generator) for p in codes.split(CHUNK)]))

    def _latent(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw latents of codes; without β their means."""
        mean, log_variance = self.network.encode(codes)
        return mean if self.config.beta == 0 else around(mean, log_variance, generator)

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw codes of shape (n, 2, D).

        Raises
        ------
        ConditionError
            Something is given: this model only draws freely.
        """
        refuse_conditions(given)
        self.eval()
        codes = self.network.draw(self.mixture.draw(n, generator), generator)
        for _ in range(self.config.walks):
            codes = self.network.draw(self._latent(codes, generator), generator)
        return codes

    @torch.no_grad()
    def complete(
        self,
        codes: Tensor,
        barred: Mapping[int, Tensor],
        generator: torch.Generator,
        legal: Legal | None = None,
        draw: int = 0,
    ) -> Tensor:
        """Draw the open cells of records by reading and writing them again and again.

        Each round draws latents of the record as it is filled now, then its open cells from
        these: pseudo-Gibbs sampling (Rezende, Mohamed and Wierstra 2014, arXiv:1401.4082, F).
        """
        self.eval()
        closed, is_open = self.network.spans.closed(barred), codes == OPEN
        prior = torch.randn(
            len(codes), self.config.latent, generator=generator, device=codes.device
        )
        filled = codes.where(~is_open, self.network.draw(prior, generator, closed))
        for _ in range(REFINEMENTS):
            drawn = self.network.draw(self._latent(filled, generator), generator, closed)
            filled = codes.where(~is_open, drawn)
        return filled

    @torch.no_grad()
    def embed(self, codes: Tensor) -> Tensor:
        """Latent means of records, (N, latent), float32, from codes (N, 2, D)."""
        self.eval()
        parts = codes.to(self.mixture.means.device).long().split(CHUNK)
        return torch.cat([self.network.encode(part)[0] for part in parts])

    @torch.no_grad()
    def reconstruction_error(self, codes: Tensor) -> Tensor:
        """Surprise of records given their latent means, (N,), in nats; high for outliers."""
        self.eval()
        parts = codes.to(self.mixture.means.device).long().split(CHUNK)
        surprise = self.network.surprise
        return torch.cat([surprise(self.network.encode(p)[0], p) for p in parts])

"""The generator, and the losses that it and its critic are trained by.

The generator draws tokens by the straight-through Gumbel-softmax (Jang, Gu and Poole
2017, arXiv:1611.01144) over the spans of all columns at once; the critic never sees
softened tokens. The adversarial loss is the non-saturating one (Goodfellow et al. 2014,
arXiv:1406.2661) with a lazy zero-centred penalty on the critic's gradient at real and
generated records (Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406).

Such a generator forgets what is rare. An *anchor* prevents it: the generator is the
decoder of an autoencoder, too, and must be able to write every record (Larsen et al.
2016, arXiv:1512.09300). A drawn record is then read and written again a few times,
which mends what does not belong together. `gan.py` and `cgan.py` build the two models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.config import TrainConfig, out_of_range
from synthehr.encode.fields import Fields
from synthehr.models.base import Batch, Loss
from synthehr.models.critic import Critic
from synthehr.models.layers import Reader, around, divergence, place_surprise, residual_body
from synthehr.models.records import Records, codes_of
from synthehr.models.spans import Axes, Spans, gumbel

WRITTEN = 50.0
"""Added to the logit of a given token; no noise outweighs it."""
PRIVATE_ONLY: Mapping[str, Any] = {"penalty": 0.0, "group": 1}
"""Under differential privacy: the penalty is a second gradient, and groups mix records."""
PRIVATE_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "model": {"width": 128, "depth": 1},
    "train": {"betas": (0.5, 0.95)},
    # Matched to marginals they stay poor; DP-SGD makes up for it.
    "privacy": {"marginals": 0.5},
}


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """Settings of every adversarial model, to be inherited from.

    Attributes
    ----------
    noise : int
        Random numbers the generator starts from.
    width : int
        Width of generator and critic.
    depth : int
        Residual blocks of each of them.
    temperature : float
        Of the Gumbel-softmax; it only shapes the gradient.
    penalty : float
        Weight of the critic's gradient penalty; 0 leaves it out.
    penalty_every : int
        Steps from one penalty to the next.
    critic_steps : int
        Steps of the critic for each of the generator.
    group : int
        Records whose mean the critic sees beside each of them; 1 leaves it out.
    anchor : float
        Weight of the autoencoder's loss; 0 leaves a purely adversarial model.
    beta : float
        Weight of the divergence from the standard normal in that loss.
    walks : int
        Times a drawn record is read and written again; needs an anchor.
    """

    noise: int = 32
    width: int = 256
    depth: int = 2
    temperature: float = 0.7
    penalty: float = 0.01
    penalty_every: int = 8
    critic_steps: int = 1
    group: int = 8
    anchor: float = 1.0
    beta: float = 0.5
    walks: int = 2

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("noise", "width", "penalty_every", "critic_steps", "group"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        for name in ("depth", "penalty", "anchor", "beta", "walks"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")
        if self.temperature <= 0:
            raise out_of_range("temperature", "above 0")


class Chance(NamedTuple):
    """Everything random in n generated records.

    Attributes
    ----------
    latent : Tensor of shape (n, noise)
        Standard normal.
    tokens : Tensor of shape (n, spans.width)
        Gumbel noise.
    places : Tensor of shape (n, P)
        Logistic noise of the places within tokens.
    """

    latent: Tensor
    tokens: Tensor
    places: Tensor


class Generator(nn.Module):
    """Makes records of noise, and reads records as noise.

    Parameters
    ----------
    spans, axes : Spans, Axes
        The columns.
    config : AdversarialConfig
        The settings.
    conditional : bool
        Whether a token of one column is given.
    """

    def __init__(
        self, spans: Spans, axes: Axes, config: AdversarialConfig, *, conditional: bool
    ) -> None:
        super().__init__()
        self.spans, self.axes = spans, axes
        self.temperature, self.beta = config.temperature, config.beta
        width, depth = config.width, config.depth
        self.reader = Reader(spans, axes, width, depth, config.noise)
        self.start = nn.Linear(config.noise, width)
        self.condition = nn.Embedding(spans.width, width) if conditional else None
        self.body = residual_body(width, depth)
        self.tokens = nn.Linear(width, spans.width)
        # a table without parts keeps one place that nothing reads: torch warns of none
        self.places = nn.Linear(width, 2 * max(1, len(axes.with_parts)))
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.zeros_(self.places.weight)
        nn.init.zeros_(self.places.bias)
        with torch.no_grad():
            self.tokens.bias.copy_(spans.log_shares)

    def decode(self, latent: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of tokens (B, spans.width), and centre and log scale of places (B, P)."""
        start = self.start(latent)
        if self.condition is not None and given is not None:
            start = start + self.condition(given)
        hidden = self.body(start)
        logits = self.tokens(hidden).float()
        if given is not None:
            logits = logits.scatter_add(1, given[:, None], torch.full_like(logits[:, :1], WRITTEN))
        centre, log_scale = self.places(hidden).float().chunk(2, dim=1)
        n_places = len(self.axes.with_parts)
        return logits, centre[:, :n_places], log_scale[:, :n_places].clamp(-5.0, 1.0)

    def forward(
        self, chance: Chance, given: Tensor | None, closed: Tensor | float = 0.0
    ) -> Records:
        """Make records.

        Parameters
        ----------
        chance : Chance
            Of B records.
        given : Tensor of shape (B,), or None
            Place of the given token in the flat vector.
        closed : Tensor of shape (B, spans.width), or float
            ``-inf`` for tokens that must not be drawn, else 0.
        """
        logits, centre, log_scale = self.decode(chance.latent, given)
        scores = logits + chance.tokens + closed
        soft = self.spans.softmax(scores / self.temperature)
        hard = self.spans.one_hot(self.spans.argmax(soft.detach()))
        fraction = torch.sigmoid(centre + log_scale.exp() * chance.places)
        return Records(hard + (soft - soft.detach()), fraction)

    def randomness(self, n: int, generator: torch.Generator) -> Chance:
        """Draw what n records need."""
        device = generator.device
        shape = (n, len(self.axes.with_parts))
        places = torch.rand(shape, generator=generator, device=device).clamp(1e-6, 1 - 1e-6)
        return Chance(
            torch.randn(n, self.start.in_features, generator=generator, device=device),
            gumbel((n, self.spans.width), generator),
            torch.logit(places),
        )

    @torch.no_grad()
    def codes(self, chance: Chance, given: Tensor | None, closed: Tensor | float = 0.0) -> Tensor:
        """Make codes (B, 2, D) as `forward` makes records."""
        return codes_of(self.spans, self.axes, self(chance, given, closed))

    def walk(
        self,
        codes: Tensor,
        chance: Chance,
        given: Tensor | None,
        closed: Tensor | float = 0.0,
    ) -> Tensor:
        """Read codes (B, 2, D) as latents and write them anew, the given token kept.

        A chain of such walks has the distribution of the training records as its
        stationary one (Bengio et al. 2013, arXiv:1305.6663, theorem 1).
        """
        mean, log_variance = self.reader(codes)
        latent = mean + (0.5 * log_variance).exp() * chance.latent
        return self.codes(chance._replace(latent=latent), given, closed)

    def bound(
        self, codes: Tensor, real: Records, given: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Surprise plus weighted divergence of records, (B,), in nats."""
        mean, log_variance = self.reader(codes)
        latent = around(mean, log_variance, generator)
        logits, centre, log_scale = self.decode(latent, given)
        surprise = self.spans.surprise(logits, codes[:, 0]).sum(1)
        of_place = place_surprise(real.fraction, centre, log_scale)
        is_cut = self.axes.counts(self.spans.flat(codes[:, 0])) > 1
        return surprise + (of_place * is_cut).sum(1) + self.beta * divergence(mean, log_variance)


def adversarial_losses(
    generator: Generator,
    critic: Critic,
    batch: Batch,
    given: tuple[Tensor | None, Tensor | None],
    config: AdversarialConfig,
    step: int,
) -> Iterator[Loss]:
    """Yield the critic's loss, and every `critic_steps` the generator's.

    Given are the tokens that the records hold, and those that made-up records are asked for.
    With ``anchor = 0`` only the critic sees records, and with ``group = 1`` each entry of
    its `per_record` depends on one record alone.
    """
    random = batch.generator
    held, asked = given
    fake = generator(generator.randomness(len(batch.codes), random), asked)
    real = critic.real(batch.codes, random)
    shown = Records(*(tensor.detach() for tensor in fake))
    loss = functional.softplus(-critic(real, held))
    public = functional.softplus(critic(shown, asked)).mean()
    if config.penalty > 0 and step % config.penalty_every == 0:
        weight = 0.5 * config.penalty * config.penalty_every
        loss = loss + weight * critic.steepness(real, held)
        public = public + weight * critic.steepness(shown, asked).mean()
    yield Loss("critic", per_record=loss, public=public)
    if step % config.critic_steps == config.critic_steps - 1:
        public = functional.softplus(-critic(fake, asked)).mean()
        anchor = None
        if config.anchor > 0:
            anchor = config.anchor * generator.bound(batch.codes, real, held, random)
        yield Loss("generator", per_record=anchor, public=public)


def adversarial_training(n_records: int, config: AdversarialConfig) -> TrainConfig:
    """Choose how to train either adversarial model on a table of this size."""
    batch = min(1024, max(64, 1 << (n_records // 24).bit_length()))
    steps = min(4000, max(800, 40 * n_records // batch)) * config.critic_steps
    return TrainConfig(
        steps=steps,
        batch_size=batch,
        learning_rate=2e-3,
        betas=(0.5, 0.95),
        ema=0.998,
        clip=0.0,
        evaluations=20,
    )


def adversarial_width(fields: Fields, n_records: int) -> int:
    """Choose the width of either adversarial model."""
    return 128 if n_records < 5_000 else 256 if len(fields) <= 30 else 384

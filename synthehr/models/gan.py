"""A generative adversarial network over tokens and parts.

The generator writes a record twice: a *draft* with Gumbel noise in every column, then,
seeing its draft, a revised one, so that columns agree with one another. Tokens are drawn
by the straight-through Gumbel-softmax (Jang, Gu and Poole 2017, arXiv:1611.01144) over
the spans of all columns at once; the critic never sees softened tokens.

The loss is the non-saturating one (Goodfellow et al. 2014, arXiv:1406.2661) with a lazy
zero-centred penalty on the critic's gradient at real and generated records (Mescheder,
Geiger and Nowozin 2018, arXiv:1801.04406). `cgan.py` builds the conditional model from
the same parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.config import TrainConfig, apply, out_of_range
from synthehr.encode.fields import Fields
from synthehr.errors import ConditionError
from synthehr.models.base import Batch, Given, Loss, Model
from synthehr.models.fidelity import Fidelity
from synthehr.models.layers import Axes, Spans, gumbel, residual_body

WRITTEN = 50.0
"""Added to the logit of a given token; no noise outweighs it."""


@dataclass(frozen=True, kw_only=True)
class GANConfig:
    """Settings of the adversarial network.

    Attributes
    ----------
    noise : int
        Random numbers the generator starts from.
    width : int
        Width of generator and critic.
    depth : int
        Residual blocks of the draft, of the revision and of the critic.
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
    """

    noise: int = 64
    width: int = 256
    depth: int = 2
    temperature: float = 0.7
    penalty: float = 0.01
    penalty_every: int = 8
    critic_steps: int = 1
    group: int = 8

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_settings(self)


def check_settings(config: Any) -> None:
    """Check the settings that both adversarial models have.

    Raises
    ------
    ConfigError
        One is out of range.
    """
    for name in ("noise", "width", "penalty_every", "critic_steps", "group"):
        if getattr(config, name) < 1:
            raise out_of_range(name, "at least 1")
    for name in ("depth", "penalty"):
        if getattr(config, name) < 0:
            raise out_of_range(name, "at least 0")
    if config.temperature <= 0:
        raise out_of_range("temperature", "above 0")


class Records(NamedTuple):
    """Records as the critic sees them; gradients pass.

    Attributes
    ----------
    one_hot : Tensor of shape (B, spans.width)
        Tokens as indicators.
    fraction : Tensor of shape (B, P)
        Place within the token, in [0, 1], of the columns with parts.
    """

    one_hot: Tensor
    fraction: Tensor


class Generator(nn.Module):
    """Makes records of noise.

    Parameters
    ----------
    spans, axes : Spans, Axes
        The columns.
    config : GANConfig or ConditionalGANConfig
        The settings.
    conditional : bool
        Whether a token of one column is given.
    """

    def __init__(self, spans: Spans, axes: Axes, config: Any, *, conditional: bool) -> None:
        super().__init__()
        self.spans, self.axes = spans, axes
        self.temperature = config.temperature
        width, depth = config.width, config.depth
        self.start = nn.Linear(config.noise, width)
        self.condition = nn.Embedding(spans.width, width) if conditional else None
        self.first = residual_body(width, depth)
        self.draft = nn.Linear(width, spans.width)
        self.reread = nn.Linear(spans.width, width)
        self.second = residual_body(width, depth)
        self.revision = nn.Linear(width, spans.width)
        # a table without parts keeps one fraction that nothing reads: torch warns of none
        self.fraction = nn.Linear(width, max(1, len(axes.with_parts)))
        nn.init.normal_(self.reread.weight, std=len(spans.start) ** -0.5)
        for head in (self.draft, self.revision):
            nn.init.normal_(head.weight, std=0.02)
        with torch.no_grad():
            self.draft.bias.copy_(spans.log_shares)
            self.revision.bias.zero_()

    def forward(self, noise: Tensor, given: Tensor | None, luck: Tensor) -> Records:
        """Make a record of each row of noise (B, noise).

        Parameters
        ----------
        noise : Tensor of shape (B, noise)
            Standard normal.
        given : Tensor of shape (B,), or None
            Place of the given token in the flat vector.
        luck : Tensor of shape (2, B, spans.width)
            Gumbel noise of draft and revision.
        """
        start = self.start(noise)
        if self.condition is not None and given is not None:
            start = start + self.condition(given)
        draft = self._choose(self.draft(self.first(start)), given, luck[0])
        hidden = self.second(start + self.reread(draft))
        # the draft stands unless the revision is sure
        one_hot = self._choose(self.revision(hidden).float() + 2 * draft, given, luck[1])
        fraction = torch.sigmoid(2 * self.fraction(hidden).float())
        return Records(one_hot, fraction[:, : len(self.axes.with_parts)])

    def _choose(self, logits: Tensor, given: Tensor | None, luck: Tensor) -> Tensor:
        """Draw tokens as indicators, with the gradient of their softmax."""
        logits = logits.float()
        if given is not None:
            sure = torch.full_like(given, WRITTEN, dtype=torch.float32)
            logits = logits.scatter_add(1, given[:, None], sure[:, None])
        soft = self.spans.softmax((logits + luck) / self.temperature)
        hard = self.spans.one_hot(self.spans.argmax(soft.detach()))
        return hard + (soft - soft.detach())

    def randomness(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw noise (n, noise) and luck (2, n, spans.width) for n records."""
        shape, device = (n, self.start.in_features), generator.device
        noise = torch.randn(shape, generator=generator, device=device)
        return noise, gumbel((2, n, self.spans.width), generator)

    @torch.no_grad()
    def codes(self, noise: Tensor, given: Tensor | None, luck: Tensor) -> Tensor:
        """Make codes (B, 2, D) as `forward` makes records."""
        one_hot, fraction = self(noise, given, luck)
        tokens = self.spans.argmax(one_hot)
        counts = self.axes.counts(self.spans.flat(tokens))
        codes = torch.stack([tokens, torch.zeros_like(tokens)], dim=1)
        parts = torch.minimum((fraction * counts).long(), counts - 1)
        codes[:, 1, self.axes.with_parts] = parts
        return codes


class Block(nn.Module):
    """Residual block without a norm, as the penalty wants it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rise = nn.Linear(width, width)
        self.fall = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width) to (B, width)."""
        hidden = self.rise(functional.leaky_relu(x, 0.2))
        return x + self.fall(functional.leaky_relu(hidden, 0.2))


class Critic(nn.Module):
    """Scores how real records look.

    Parameters
    ----------
    spans, axes : Spans, Axes
        The columns.
    config : GANConfig or ConditionalGANConfig
        The settings.
    conditioning : {"concatenation", "projection"} or None
        How the given token enters: into the first layer, or by its inner product with
        the last one (Miyato and Koyama 2018, arXiv:1802.05637).
    """

    def __init__(self, spans: Spans, axes: Axes, config: Any, conditioning: str | None) -> None:
        super().__init__()
        self.spans, self.axes, self.group = spans, axes, config.group
        self.conditioning = conditioning
        width = config.width
        self.read = nn.Linear(spans.width + axes.width, width)
        self.condition = None if conditioning is None else nn.Embedding(spans.width, width)
        self.body = nn.Sequential(*[Block(width) for _ in range(config.depth)])
        self.merge = nn.Linear(2 * width if config.group > 1 else width, width)
        self.score = nn.Linear(width, 1)
        nn.init.normal_(self.read.weight, std=len(spans.start) ** -0.5)

    def forward(self, records: Records, given: Tensor | None) -> Tensor:
        """Score each record, (B,); higher is more real."""
        described = self.axes(records.one_hot, records.fraction)
        hidden = self.read(torch.cat([records.one_hot, described], dim=1))
        if self.condition is not None and self.conditioning == "concatenation":
            hidden = hidden + self.condition(given)
        hidden = functional.leaky_relu(self.body(hidden), 0.2)
        if self.group > 1:
            hidden = torch.cat([hidden, group_means(hidden, self.group)], dim=1)
        hidden = functional.leaky_relu(self.merge(hidden), 0.2)
        score = self.score(hidden)[:, 0]
        if self.condition is not None and self.conditioning == "projection":
            score = score + (self.condition(given) * hidden).mean(1)
        return score.float()

    def real(self, codes: Tensor, generator: torch.Generator) -> Records:
        """Show codes (B, 2, D) as records, at a random place within each part."""
        one_hot = self.spans.one_hot(codes[:, 0])
        parts = codes[:, 1, self.axes.with_parts]
        inside = torch.rand(parts.shape, generator=generator, device=parts.device)
        counts = self.axes.counts(self.spans.flat(codes[:, 0]))
        return Records(one_hot, (parts + inside) / counts)

    def steepness(self, records: Records, given: Tensor | None) -> Tensor:
        """Squared norm of the score's gradient at each record, (B,)."""
        with torch.autocast(records.one_hot.device.type, enabled=False):
            held = Records(*(t.detach().float().requires_grad_() for t in records))
            total = self(held, given).sum()
            slopes = torch.autograd.grad(total, held, create_graph=True, allow_unused=True)
            squares = [(slope**2).sum(1) for slope in slopes if slope is not None]
            return torch.stack(squares).sum(0)


def group_means(hidden: Tensor, size: int) -> Tensor:
    """Mean of each record's group of `size`, (B, width); the last group wraps around."""
    n = len(hidden)
    wrapped = torch.arange(-(-n // size) * size, device=hidden.device) % n
    means = hidden[wrapped].unflatten(0, (-1, size)).mean(1)
    return means.repeat_interleave(size, dim=0)[:n]


def adversarial_losses(
    generator: Generator, critic: Critic, batch: Batch, given: Tensor | None, config: Any, step: int
) -> Iterator[Loss]:
    """Yield the critic's loss, and every `critic_steps` the generator's.

    Only the critic sees records. The penalty couples nothing, but group means do: with
    ``group = 1`` each entry of `per_record` depends on one record alone.
    """
    random = batch.generator
    noise, luck = generator.randomness(len(batch.codes), random)
    fake = generator(noise, given, luck)
    real = critic.real(batch.codes, random)
    shown = Records(*(tensor.detach() for tensor in fake))
    loss = functional.softplus(-critic(real, given))
    public = functional.softplus(critic(shown, given)).mean()
    if config.penalty > 0 and step % config.penalty_every == 0:
        weight = 0.5 * config.penalty * config.penalty_every
        loss = loss + weight * critic.steepness(real, given)
        public = public + weight * critic.steepness(shown, given).mean()
    yield Loss("critic", per_record=loss, public=public)
    if step % config.critic_steps == config.critic_steps - 1:
        yield Loss("generator", public=functional.softplus(-critic(fake, given)).mean())


def adversarial_training(n_records: int, config: Any) -> TrainConfig:
    """Choose how to train either adversarial model on a table of this size."""
    batch = min(1024, max(64, 1 << (n_records // 24).bit_length()))
    steps = min(4000, max(1200, 60 * n_records // batch)) * config.critic_steps
    return TrainConfig(
        steps=steps,
        batch_size=batch,
        learning_rate=1e-3,
        betas=(0.0, 0.95),
        ema=0.998,
        clip=0.0,
        evaluations=20,
    )


def adversarial_width(fields: Fields, n_records: int) -> int:
    """Choose the width of either adversarial model."""
    return 128 if n_records < 5_000 else 256 if len(fields) <= 30 else 384


@final
class GAN(Model):
    """Generative adversarial network; see the module.

    Parameters
    ----------
    fields : Fields
        The columns.
    config : GANConfig
        The settings.
    """

    Config: ClassVar[type] = GANConfig

    def __init__(self, fields: Fields, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        spans = Spans(fields)
        axes = Axes(fields, spans)
        self.fidelity = Fidelity(fields, spans)
        self.generator = Generator(spans, axes, config, conditional=False)
        self.critic = Critic(spans, axes, config, None)

    @classmethod
    def build(cls, fields: Fields, config: GANConfig) -> Self:
        """Make a freshly initialised model for these columns."""
        return cls(fields, config)

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> GANConfig:
        """Choose the width by the number of records and columns."""
        return apply(GANConfig(width=adversarial_width(fields, n_records)), settings)

    @classmethod
    def training(cls, fields: Fields, n_records: int, config: GANConfig) -> TrainConfig:
        """Choose batch and steps: some sixty epochs, within bounds."""
        return adversarial_training(n_records, config)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        """Yield the critic's loss, then the generator's."""
        return adversarial_losses(self.generator, self.critic, batch, None, self.config, step)

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw codes of shape (n, 2, D).

        Raises
        ------
        ConditionError
            Something is given: this model only draws freely.
        """
        if given.codes is not None or given.allowed:
            raise ConditionError(
                "this model cannot draw under conditions by itself",
                hint="draw freely and keep what satisfies them, or fit --model cgan",
            )
        self.eval()
        noise, luck = self.generator.randomness(n, generator)
        return self.generator.codes(noise, None, luck)

    @torch.no_grad()
    def held_out_loss(self, codes: Tensor) -> float:
        """Mean distance of marginal and pair tables between drawn and held-out records."""
        random = torch.Generator(codes.device).manual_seed(0)
        drawn = self.sample(self.fidelity.size(codes), Given(), random)
        return self.fidelity(codes, drawn)

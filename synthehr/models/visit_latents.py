"""A latent vector for each patient: read from his visits, and made of noise by an adversary.

Shapes: B patients, T visits, D columns, L latents.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.encode.sequence import SequenceFields
from synthehr.models.cells import CellReader
from synthehr.models.course import Past
from synthehr.models.critic import Block
from synthehr.models.layers import residual_body
from synthehr.models.past_reader import PastReader
from synthehr.models.sequence_base import SequenceBatch
from synthehr.models.visit_network import VisitNetwork

EMBEDDING = 8
DEPTH = 2
"""Of the adversaries: width of a token's embedding, and residual blocks."""
STRIDE = 0.03
"""Scale of what the generator adds to noise: at the autoencoder's learning rate it would else
run in circles around the patients' latents, and end farther from them than noise is."""


@final
class VisitAutoencoder(nn.Module):
    """Reads visits as independent normal latents, and writes visits given these.

    Parameters
    ----------
    visits : VisitNetwork
        What writes, with a latent vector.
    reader : PastReader
        What reads, of the same columns and width.
    latents : int
        Number of latents.
    """

    def __init__(self, visits: VisitNetwork, reader: PastReader, latents: int) -> None:
        super().__init__()
        self.visits = visits
        self.reader = reader
        self.body = residual_body(visits.width, 1)
        self.posterior = nn.Linear(visits.width, 2 * latents)

    def read(self, batch: SequenceBatch, shown: Tensor, until: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of patients' latents, (B, L) each.

        Parameters
        ----------
        batch : SequenceBatch
            The patients.
        shown : Tensor of shape (B, T, D), bool
            Cells that are read.
        until : Tensor of shape (B,), int64
            How many visits are read, from the first.
        """
        once = self.visits.once_of(batch.static)
        course = self.visits.course
        origin = course.origin(batch.static)
        elapsed = course.lengths(batch.visits).cumsum(1) + origin[:, None]
        past, states = self.reader.read(batch.visits, batch.present, shown, elapsed, origin, once)
        rows = torch.arange(len(until), device=until.device)
        end = Past(*(part[rows, until] for part in past))
        context = self.reader.context(end, states[rows, until]) + once
        mean, log_variance = self.posterior(self.body(context)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-12.0, 4.0)


@final
class LatentGenerator(nn.Module):
    """Makes latents of as many random numbers, given what patients have once.

    It starts as the identity, so that a patient's latents are standard normal, which is what
    the autoencoder's divergence draws them to.

    Parameters
    ----------
    fields : SequenceFields
        The columns.
    latents, width : int
        Number of latents, and width of the network.
    """

    def __init__(self, fields: SequenceFields, latents: int, width: int) -> None:
        super().__init__()
        self.latents = latents
        self.start = nn.Linear(latents, width)
        self.condition = _condition(fields, width)
        self.body = residual_body(width, DEPTH)
        self.end = nn.Linear(width, latents)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)

    def forward(self, static: Tensor, generator: torch.Generator) -> Tensor:
        """Draw latents (B, L) for patients of static codes (B, 2, S)."""
        noise = torch.randn(len(static), self.latents, generator=generator, device=static.device)
        hidden = self.body(_told(self.start(noise), self.condition, static))
        return noise + STRIDE * self.end(hidden).float()


@final
class LatentCritic(nn.Module):
    """Scores how real latents look beside what patients have once.

    Parameters
    ----------
    fields, latents, width
        As of `LatentGenerator`.
    """

    def __init__(self, fields: SequenceFields, latents: int, width: int) -> None:
        super().__init__()
        self.start = nn.Linear(latents, width)
        self.condition = _condition(fields, width)
        self.body = nn.Sequential(*[Block(width) for _ in range(DEPTH)])
        self.score = nn.Linear(width, 1)

    def forward(self, latent: Tensor, static: Tensor) -> Tensor:
        """Score latents (B, L) of patients of static codes (B, 2, S); (B,), higher is realer."""
        hidden = self.body(_told(self.start(latent), self.condition, static))
        return self.score(functional.leaky_relu(hidden, 0.2))[:, 0].float()

    def steepness(self, latent: Tensor, static: Tensor) -> Tensor:
        """Squared norm of the score's gradient at each patient's latents, (B,)."""
        with torch.autocast(latent.device.type, enabled=False):
            held = latent.detach().float().requires_grad_()
            total = self(held, static).sum()
            return (torch.autograd.grad(total, held, create_graph=True)[0] ** 2).sum(1)


def _condition(fields: SequenceFields, width: int) -> CellReader | None:
    if not fields.static:
        return None
    return CellReader(fields.static, width=width, embedding=EMBEDDING, frequencies=1, own_share=0.5)


def _told(hidden: Tensor, condition: CellReader | None, static: Tensor) -> Tensor:
    if condition is None:
        return hidden
    return hidden + condition(static, torch.ones_like(static[:, 0], dtype=torch.bool))

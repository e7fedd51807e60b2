"""Drawing visits with a `VisitNetwork`: from the first, after given ones, and between them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from synthehr.encode.sequence import SequenceFields
from synthehr.errors import ConfigError
from synthehr.models.base import OPEN, Legal
from synthehr.models.completing import complete_records
from synthehr.models.leaning import Context
from synthehr.models.reveal import spread
from synthehr.models.sequence_base import SequenceBatch, Sequences
from synthehr.models.visit_cells import VisitCells
from synthehr.models.visit_ends import Reached
from synthehr.models.visit_network import Memory, VisitNetwork

LONGEST = 4.0
"""Drawing ends at so many times the visits that the patients with most have."""


def draw_visits(
    network: VisitNetwork,
    fields: SequenceFields,
    static: Tensor,
    usual_most: int,
    generator: torch.Generator,
    latent: Tensor | None = None,
    legal: Legal | None = None,
    reached: list[Reached] | None = None,
) -> Sequences:
    """Draw all visits of patients side by side; who has had the last one drops out.

    Parameters
    ----------
    network : VisitNetwork
        In evaluation mode.
    fields : SequenceFields
        The columns.
    static : Tensor of shape (n, 2, S), int64
        What the patients have once.
    usual_most : int
        About how many visits the patients with most have; see `LONGEST`.
    generator : torch.Generator
        The source of randomness.
    latent : Tensor of shape (n, L), optional
        Of the patients, for a network that takes one.
    legal : Legal or None
        See `Given.of_visits`.
    reached : list, optional
        Is given the visits that were drawn, those that are patients' n-th at the n-th place.
    """
    device = static.device
    here = torch.arange(len(static), device=device)
    cells = VisitCells(network)
    memory = network.begin(static, latent)
    context = network.context(memory)
    # Who ends at a visit is decided by where the chance to have gone on falls below a number of
    # his own. These are spread evenly, so that lengths vary less from sample to sample.
    uniform = torch.rand(len(static), generator=generator, device=device)
    ends_below = spread(uniform, here, generator)
    goes_on = torch.ones_like(uniform)
    owners, drawn = [], []
    for _ in range(int(LONGEST * usual_most)):
        codes = cells.draw(context, memory.past.visits == 0, generator, legal, static[here])
        memory = _taken_in(network, memory, codes)
        context = network.context(memory)
        owners.append(here)
        drawn.append(codes)
        now = network.reached(context.first, memory.past)
        if reached is not None:
            reached.append(now)
        goes_on = goes_on * (-now.odds).sigmoid()
        kept = (goes_on > ends_below[here]).nonzero()[:, 0]
        if not len(kept):
            break
        if len(kept) < len(here):
            here, memory, context = here[kept], memory.rows(kept), context.rows(kept)
            goes_on = goes_on[kept]
    owner = torch.cat(owners)
    counts = torch.bincount(owner, minlength=len(static))
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Sequences(static, torch.cat(drawn)[owner.argsort(stable=True)], starts)


def next_visits(
    network: VisitNetwork,
    fields: SequenceFields,
    past: Sequences,
    steps: int,
    draws: int,
    generator: torch.Generator,
    latent: Tensor | None = None,
) -> Tensor:
    """Draw the next visits of patients, (P, draws, steps, 2, D); as `SequenceModel.proceed`.

    Latents, (P * draws, L), are of one draw each.
    """
    patients = torch.arange(len(past), device=past.starts.device)
    everyone = patients.repeat_interleave(draws)
    if latent is None:
        memory = remembered(network, past.take(patients, generator)).rows(everyone)
    else:
        memory = remembered(network, past.take(everyone, generator), latent)
    barred = {
        column: torch.arange(field.size) == field.null
        for column, field in enumerate(fields.visits)
        if field.null is not None
    }
    cells = VisitCells(network)
    measured = []
    for _ in range(steps):
        context = network.context(memory)
        codes = cells.draw(context, memory.past.visits == 0, generator)
        memory = _taken_in(network, memory, codes)
        codes = codes.masked_fill(~network.course.seen(codes)[:, None], OPEN)
        measured.append(
            complete_records(
                network.block, fields.visits, codes, barred, generator, context=context
            )
        )
    return torch.stack(measured, 1).unflatten(0, (len(past), draws))


def remembered(network: VisitNetwork, batch: SequenceBatch, latent: Tensor | None = None) -> Memory:
    """Take in all visits of given patients."""
    memory = network.begin(batch.static, latent)
    known = torch.ones_like(batch.visits[:, 0, 0], dtype=torch.bool)
    for step in range(batch.present.shape[1]):
        after = network.proceed(memory, batch.visits[:, step], known)
        memory = after.where(batch.present[:, step], memory)
    return memory


def from_both_sides(
    network: VisitNetwork,
    fields: SequenceFields,
    records: Sequences,
    generator: torch.Generator,
    latent_of: Callable[[SequenceBatch, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Context]:
    """Give the codes of all visits, (R, 2, D), and what the others say of each.

    Null counts as open: whether a cell was measured is not looked at. Latents, for a network
    that takes them, are made of the patients and of which cells are known, (B, T, D).

    Raises
    ------
    ConfigError
        The network has not learned to look ahead.
    """
    if network.ahead is None:
        raise ConfigError(
            "this model has not learned to fill holes in visits",
            hint="fit with --set model.whole_share=0.25",
        )
    everyone = torch.arange(len(records), device=records.starts.device)
    batch = records.take(everyone, generator)
    is_gap = torch.arange(len(fields.visits), device=everyone.device) == fields.gap
    known = (batch.visits[:, :, 0] != OPEN) & network.course.seen(batch.visits)
    shown = batch.present[..., None] & (known | is_gap)
    codes = batch.visits.masked_fill(~(known | is_gap)[:, :, None], OPEN)[batch.present]
    batch = batch._replace(visits=batch.visits.clamp(min=0))
    latent = None if latent_of is None else latent_of(batch, shown)
    return codes, network.whole_context(batch, shown, latent)


def _taken_in(network: VisitNetwork, memory: Memory, codes: Tensor) -> Memory:
    """Take in a visit that was drawn whole."""
    return network.proceed(memory, codes, torch.ones_like(codes[:, 0], dtype=torch.bool))

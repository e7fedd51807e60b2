"""The network of the autoregressive model: any subset of columns in, every column out.

Shapes: B records, D columns, V tokens of all columns side by side, P parts at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from synthehr.encode.fields import Field, Fields
from synthehr.models.cells import CellReader
from synthehr.models.copula import Copula
from synthehr.models.layers import PerColumnLinear, Residual
from synthehr.models.leaning import Context, Leaning, Leanings
from synthehr.models.ranks import RankHead, own_scale

LOGIT_LIMIT = 60.0
"""Logits are clamped here, so that no column's sum of exponentials overflows or vanishes."""
IMPOSSIBLE = -1e4
"""Logit of a part that its token does not have."""


@final
class ColumnCrossEntropy(torch.autograd.Function):
    """Cross-entropy of each column over a flat vector of logits.

    The columns' sums of exponentials are one product with a 0/1 matrix, forward and
    backward, in place of D small softmaxes; the clamp makes the usual subtraction of
    the largest logit needless.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, columns: Tensor) -> Tensor:
        """Map logits (B, V), targets (B, D) and membership (V, D) to losses (B, D)."""
        exponentials = logits.float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT).exp_()
        sums = exponentials @ columns
        ctx.save_for_backward(exponentials, sums, target, columns)
        ctx.logits_dtype = logits.dtype
        chosen = logits.gather(1, target).float().clamp_(-LOGIT_LIMIT, LOGIT_LIMIT)
        return sums.log() - chosen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Scale the softmax by the losses' gradients and subtract them at the targets."""
        (gradient,) = gradients
        exponentials, sums, target, columns = ctx.saved_tensors
        logits = exponentials.mul_((gradient / sums) @ columns.T)
        logits.scatter_add_(1, target, -gradient)
        return logits.to(ctx.logits_dtype), None, None


@final
class AnyOrderNetwork(nn.Module):
    """A residual MLP over the embeddings of the known cells.

    Parameters
    ----------
    fields : Fields
        The columns.
    width, blocks, embedding, frequencies, part_width, head_frequencies, factors, estimates : int
    dropout, own_share : float
        See `synthehr.models.autoregressive.AutoregressiveConfig`.
    leaning_columns : sequence of int
        Columns that lean to where they were last; see `synthehr.models.leaning`.
    """

    def __init__(
        self,
        fields: Fields,
        *,
        width: int,
        blocks: int,
        embedding: int,
        frequencies: int,
        dropout: float,
        part_width: int,
        head_frequencies: int,
        own_share: float,
        factors: int,
        estimates: int,
        leaning_columns: Sequence[int] = (),
    ) -> None:
        super().__init__()
        sizes = np.array([field.size for field in fields])
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self.ordered = [d for d, field in enumerate(fields) if field.positions is not None]
        self.parted = [d for d, field in enumerate(fields) if field.has_parts]
        self.most_parts = max(int(field.parts.max()) for field in fields)
        self.part_width = part_width
        tokens, columns = int(sizes.sum()), len(fields)

        self.cells = CellReader(
            fields, width=width, embedding=embedding, frequencies=frequencies, own_share=own_share
        )
        own = own_scale(fields, self.ordered, own_share)
        self.body = nn.Sequential(
            *(Residual(width, width, dropout) for _ in range(blocks)), nn.LayerNorm(width)
        )
        self.token_head = nn.Linear(width, tokens)
        self.copula = None
        if factors and self.ordered:
            self.copula = Copula(fields, factors, estimates)
        self.leanings = Leanings(fields, leaning_columns, width) if leaning_columns else None
        self.rank_head = None
        if head_frequencies and self.ordered:
            self.rank_head = RankHead(fields, self.ordered, own, width, head_frequencies)
        if self.parted:
            self.part_rise = nn.Linear(width, len(self.parted) * part_width)
            self.part_embedding = nn.Embedding(tokens, part_width)
            nn.init.normal_(self.part_embedding.weight, std=0.1)
            self.part_fall = PerColumnLinear(len(self.parted), part_width, self.most_parts)
        with torch.no_grad():
            # The heads start at the marginals, so that training only has to learn what differs.
            self.token_head.weight.mul_(0.1)
            self.token_head.bias.copy_(torch.from_numpy(np.concatenate([
                starting_logits(field) for field in fields
            ])))  # fmt: skip

        part_bias = np.full((tokens, self.most_parts), IMPOSSIBLE, np.float32)
        for start, field in zip(self.starts, fields, strict=False):
            fill_part_bias(field, part_bias[start:])
        self.register_buffer("part_bias", torch.from_numpy(part_bias), False)
        self.register_buffer("offsets", torch.tensor(self.starts[:-1]), False)
        self.register_buffer("parted_index", torch.tensor(self.parted, dtype=torch.long), False)
        self.with_null = [d for d, field in enumerate(fields) if has_null(field)]
        nulls = [self.starts[column] + int(fields[column].null or 0) for column in self.with_null]
        self.register_buffer("null_columns", torch.tensor(self.with_null, dtype=torch.long), False)
        self.register_buffer("nulls", torch.tensor(nulls, dtype=torch.long), False)
        membership = np.repeat(np.eye(columns, dtype=np.float32), sizes, axis=0)
        membership[nulls] = 0.0
        self.register_buffer("membership", torch.from_numpy(membership), False)

    part_bias: Tensor
    offsets: Tensor
    parted_index: Tensor
    membership: Tensor
    null_columns: Tensor
    nulls: Tensor

    def cross_entropy(self, codes: Tensor, known: Tensor, context: Context | None = None) -> Tensor:
        """Negative log-likelihood (nats) of every cell given the known ones; (B, D)."""
        first = self.cells(codes, known)
        hidden = self.body(first if context is None else first + context.first)
        tokens = codes[:, 0] + self.offsets
        if self.rank_head is None:
            logits = self.token_head(hidden)
        else:
            weight = self.rank_head(self.token_head.weight)
            logits = functional.linear(hidden, weight, self.token_head.bias)
        if self.copula is not None:
            logits = logits + self.copula.logits(codes, known)
        leaning = None
        if self.leanings is not None and context is not None and context.last_seen is not None:
            leaning = self.leanings.of_all(hidden, context.last_seen)
            logits = logits + self.leanings.logits(leaning)
        losses = cast(Tensor, ColumnCrossEntropy.apply(logits, tokens, self.membership))
        if self.with_null:
            # Null or not, and only then which value: who lacks a cell says nothing of values.
            gone = torch.zeros_like(tokens, dtype=torch.bool)
            gone[:, self.null_columns] = tokens[:, self.null_columns] == self.nulls
            odds = logits[:, self.nulls].float()
            missing = functional.binary_cross_entropy_with_logits(
                odds, gone[:, self.null_columns].float(), reduction="none"
            )
            losses = losses.masked_fill(gone, 0.0).index_add(1, self.null_columns, missing)
        if not self.parted:
            return losses
        tokens = tokens[:, self.parted_index]
        raised = self.part_rise(hidden).view(-1, len(self.parted), self.part_width)
        units = functional.silu(raised + self.part_embedding(tokens))
        logits = self.part_fall(units).float() + functional.embedding(tokens, self.part_bias)
        if self.leanings is not None and leaning is not None:
            logits = self.leanings.with_parts_tilted(logits, leaning, tokens)
        target = codes[:, 1, self.parted_index]
        parts = functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        return losses.index_add(1, self.parted_index, parts.view(target.shape))

    def column_logits(self, hidden: Tensor, column: int, added: Tensor | None) -> Tensor:
        """Logits of one column's tokens, (B, size): of null against all values; of these.

        What the copula or leanings add, (B, size), is added.
        """
        span = slice(self.starts[column], self.starts[column + 1])
        weight, bias = self.token_head.weight[span], self.token_head.bias[span]
        if self.rank_head is not None:
            weight = self.rank_head.of_column(column, weight)
        logits = functional.linear(hidden, weight, bias).float()
        if added is not None:
            logits = logits + added
        return logits.clamp_(-LOGIT_LIMIT, LOGIT_LIMIT)

    def with_values(self, logits: Tensor, column: int) -> Tensor:
        """Turn `column_logits` into those of one softmax; (B, size)."""
        if column not in self.with_null:
            return logits
        null = self.nulls[self.with_null.index(column)] - self.starts[column]
        values = logits.index_fill(1, null[None], -torch.inf).logsumexp(1)
        return logits.index_add(1, null[None], values[:, None])

    def token_logits(self, hidden: Tensor, column: int, added: Tensor | None) -> Tensor:
        """Logits of one column's tokens, (B, size), null among them."""
        return self.with_values(self.column_logits(hidden, column, added), column)

    def part_logits(
        self, hidden: Tensor, column: int, tokens: Tensor, leaning: Leaning | None = None
    ) -> Tensor:
        """Logits of the parts of one column's tokens, (B,); (B, P)."""
        index = self.parted.index(column)
        span = slice(index * self.part_width, (index + 1) * self.part_width)
        raised = functional.linear(hidden, self.part_rise.weight[span], self.part_rise.bias[span])
        flat = tokens + self.starts[column]
        units = functional.silu(raised + self.part_embedding(flat))
        logits = (units @ self.part_fall.weight[index]).float() + self.part_bias[flat]
        if self.leanings is None or leaning is None:
            return logits
        return logits + self.leanings.part_logits(leaning, column, tokens)


def has_null(field: Field) -> bool:
    """Whether a column can be null and can be something else."""
    return field.null is not None and field.size > 1


def starting_logits(field: Field) -> NDArray[np.float64]:
    """Give logits by which a column's tokens have their shares; (size,)."""
    logits = np.log((field.shares + 1e-4) / (1 + 1e-4 * field.size))
    if has_null(field):
        share = field.shares[field.null]
        logits[field.null] = np.log((share + 1e-4) / (1 - share + 1e-4))
    return logits


def fill_part_bias(field: Field, part_bias: NDArray[np.float32]) -> None:
    """Write the logits of one column's parts' shares."""
    for token, parts in enumerate(field.parts):
        shares = np.ones(1) if field.part_shares is None else field.part_shares[token, :parts]
        part_bias[token, :parts] = np.log(shares + 1e-4)

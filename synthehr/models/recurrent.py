"""Recurrent layers: visit after visit, unrolled by hand.

A layer is two linear maps, of the visit and of the state before it, and a recurrence that has
no weights. The states are computed first; then the second map is applied to all of them at
once, as to any input, and back-propagation through time gives each map the gradient of what it
put out. So the weights' gradients are sums over visits of products of a map's input and its
output's gradient, and what holds of linear maps, one patient's share of the gradient
(`synthehr.privacy.per_record`) above all, holds of these.

Shapes: B patients, T visits of a patient, I inputs, H units of the state, G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CellName = Literal["lstm", "gru", "rnn"]

_sigmoid_back = torch.ops.aten.sigmoid_backward.grad_input
_tanh_back = torch.ops.aten.tanh_backward.grad_input


class _Course(NamedTuple):
    """The way that states went.

    Attributes
    ----------
    states : Tensor of shape (B, T + 1, H)
        The hidden state before each visit, and the last.
    end : Tensor of shape (B, parts * H)
        The whole state at the end.
    kept : tuple of Tensor
        What else back-propagation needs.
    """

    states: Tensor
    end: Tensor
    kept: tuple[Tensor, ...]


class _Cell(NamedTuple):
    """A kind of recurrence.

    Attributes
    ----------
    gates, parts : int
        Pre-activations of a unit, and numbers in its state.
    forward : callable
        From what visits put in, (B, T, G), the weight of the state, (G, H), and the state to
        start with, (B, parts * H), to the course.
    backward : callable
        From the gradient of what is put out, the weight, the states and what was kept to the
        gradients of what visits put in, of what states put in, and of the state to start with.
    """

    gates: int
    parts: int
    forward: Callable[[Tensor, Tensor, Tensor], _Course]
    backward: Callable[[Tensor, Tensor, Tensor, Sequence[Tensor]], tuple[Tensor, Tensor, Tensor]]


def _room(put_in: Tensor, start: Tensor) -> Tensor:
    """Room for hidden states, (B, T + 1, H), with the one to start with."""
    states = put_in.new_empty((len(put_in), put_in.shape[1] + 1, start.shape[1]))
    states[:, 0] = start
    return states


def _by_visit(values: Tensor, units: int, axis: int = 0) -> tuple[tuple[Tensor, ...], ...]:
    """View each gate visit by visit; one by one in the loop, views would cost as much again."""
    return tuple(gate.unbind(axis) for gate in values.split(units, 2))


def _lstm_forward(put_in: Tensor, weight: Tensor, state: Tensor) -> _Course:
    """Gates i, f, g, o; ``c = f c + i g`` and ``h = o tanh(c)``."""
    units = weight.shape[1]
    start, first = state.split(units, 1)
    states = _room(put_in, start)
    gates = put_in.new_empty((put_in.shape[1], len(put_in), 4 * units))
    cells = put_in.new_empty((len(gates), len(put_in), units))
    bent = torch.empty_like(cells)
    enter, keep, new, leave = _by_visit(gates, units)
    both = gates[..., : 2 * units].unbind()
    hidden, cell = states.unbind(1), [first, *cells.unbind()]
    for t, x in enumerate(put_in.unbind(1)):
        torch.addmm(x, hidden[t], weight.T, out=gates[t])
        both[t].sigmoid_()
        new[t].tanh_()
        leave[t].sigmoid_()
        torch.mul(keep[t], cell[t], out=cell[t + 1]).addcmul_(enter[t], new[t])
        torch.tanh(cell[t + 1], out=bent[t])
        torch.mul(leave[t], bent[t], out=hidden[t + 1])
    return _Course(states, torch.cat([hidden[-1], cell[-1]], 1), (gates, cells, bent, first))


def _lstm_backward(
    gradient: Tensor, weight: Tensor, states: Tensor, kept: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    gates, cells, bent, first = kept
    units = weight.shape[1]
    found = gradient.new_empty((*gradient.shape[:2], 4 * units))
    enter, keep, new, leave = _by_visit(gates, units)
    to_enter, to_keep, to_new, to_leave = _by_visit(found, units, 1)
    of_visit, cell, bend = found.unbind(1), [first, *cells.unbind()], bent.unbind()
    of_hidden, of_cell = torch.zeros_like(first), torch.zeros_like(first)
    spare = torch.empty_like(of_cell)
    for t in range(len(gates) - 1, -1, -1):
        of_hidden = of_hidden + gradient[:, t]
        _sigmoid_back(torch.mul(of_hidden, bend[t], out=spare), leave[t], grad_input=to_leave[t])
        of_cell += _tanh_back(torch.mul(of_hidden, leave[t], out=spare), bend[t], grad_input=spare)
        _sigmoid_back(torch.mul(of_cell, new[t], out=spare), enter[t], grad_input=to_enter[t])
        _sigmoid_back(torch.mul(of_cell, cell[t], out=spare), keep[t], grad_input=to_keep[t])
        _tanh_back(torch.mul(of_cell, enter[t], out=spare), new[t], grad_input=to_new[t])
        of_cell *= keep[t]
        of_hidden = of_visit[t] @ weight
    return found, found, torch.cat([of_hidden, of_cell], 1)


def _gru_forward(put_in: Tensor, weight: Tensor, state: Tensor) -> _Course:
    """Gates r, z, n; ``n = tanh(x + r (W h))`` and ``h = n + z (h - n)``."""
    units = weight.shape[1]
    states = _room(put_in, state)
    gates = put_in.new_empty((put_in.shape[1], len(put_in), 3 * units))
    shown = put_in.new_empty((len(gates), len(put_in), units))
    reset, mix, new = _by_visit(gates, units)
    both, of_both = gates[..., : 2 * units].unbind(), put_in[..., : 2 * units].unbind(1)
    of_new = put_in[..., 2 * units :].unbind(1)
    hidden = states.unbind(1)
    for t, gate in enumerate(gates.unbind()):
        torch.mm(hidden[t], weight.T, out=gate)
        shown[t] = new[t]
        both[t].add_(of_both[t]).sigmoid_()
        torch.addcmul(of_new[t], reset[t], shown[t], out=new[t]).tanh_()
        torch.lerp(new[t], hidden[t], mix[t], out=hidden[t + 1])
    return _Course(states, hidden[-1], (gates, shown))


def _gru_backward(
    gradient: Tensor, weight: Tensor, states: Tensor, kept: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    gates, shown = kept
    units = weight.shape[1]
    found = gradient.new_empty((*gradient.shape[:2], 3 * units))
    of_states = torch.empty_like(found)
    reset, mix, new = _by_visit(gates, units)
    to_reset, to_mix, to_new = _by_visit(found, units, 1)
    hidden, of_hidden = states.unbind(1), torch.zeros_like(states[:, 0])
    for t in range(len(gates) - 1, -1, -1):
        of_hidden = of_hidden + gradient[:, t]
        _sigmoid_back(of_hidden * (hidden[t] - new[t]), mix[t], grad_input=to_mix[t])
        passed = of_hidden * mix[t]
        _tanh_back(of_hidden - passed, new[t], grad_input=to_new[t])
        _sigmoid_back(to_new[t] * shown[t], reset[t], grad_input=to_reset[t])
        of_states[:, t] = found[:, t]
        of_states[:, t, 2 * units :] *= reset[t]
        of_hidden = torch.addmm(passed, of_states[:, t], weight)
    return found, of_states, of_hidden


def _rnn_forward(put_in: Tensor, weight: Tensor, state: Tensor) -> _Course:
    """``h = tanh(x + W h)``."""
    states = _room(put_in, state)
    hidden = states.unbind(1)
    for t, x in enumerate(put_in.unbind(1)):
        torch.addmm(x, hidden[t], weight.T, out=hidden[t + 1]).tanh_()
    return _Course(states, hidden[-1], ())


def _rnn_backward(
    gradient: Tensor, weight: Tensor, states: Tensor, kept: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    found = torch.empty_like(gradient)
    hidden, of_hidden = states.unbind(1), torch.zeros_like(states[:, 0])
    for t in range(gradient.shape[1] - 1, -1, -1):
        _tanh_back(of_hidden + gradient[:, t], hidden[t + 1], grad_input=found[:, t])
        of_hidden = found[:, t] @ weight
    return found, found, of_hidden


_CELLS: dict[CellName, _Cell] = {
    "lstm": _Cell(4, 2, _lstm_forward, _lstm_backward),
    "gru": _Cell(3, 1, _gru_forward, _gru_backward),
    "rnn": _Cell(1, 1, _rnn_forward, _rnn_backward),
}


@final
class _ThroughTime(torch.autograd.Function):
    """Puts out states that are known already, and back-propagates through them."""

    @staticmethod
    def forward(
        ctx: Any,
        put_in: Tensor,
        carried: Tensor,
        state: Tensor,
        weight: Tensor,
        cell: _Cell,
        course: _Course,
    ) -> Tensor:
        """Map what visits and states put in, (B, T, G) each, to hidden states, (B, T, H)."""
        ctx.save_for_backward(weight, course.states, *course.kept)
        ctx.cell = cell
        return course.states[:, 1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Go back visit by visit."""
        weight, states, *kept = ctx.saved_tensors
        return *ctx.cell.backward(gradients[0], weight, states, kept), None, None, None


@final
class Recurrent(nn.Module):
    """A recurrent layer: LSTM, GRU or Elman's network.

    Gates and equations are those of `torch.nn.LSTM`, `torch.nn.GRU` and `torch.nn.RNN`
    (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; Cho et al. 2014,
    arXiv:1406.1078; Elman 1990, doi:10.1207/s15516709cog1402_1), with one bias in place of two.
    Nothing looks ahead: what stands after a patient's last visit changes nothing before it.

    Parameters
    ----------
    inputs : int
        Width I of a visit.
    units : int
        Width H of what is put out.
    cell : {"lstm", "gru", "rnn"}
        Kind of the recurrence.

    Attributes
    ----------
    state_width : int
        Numbers in a patient's state: the hidden state, and behind it an LSTM's cells.
    input : nn.Linear
        Weight (G, I) and bias of the visit.
    hidden : nn.Linear
        Weight (G, H) of the hidden state.
    """

    def __init__(self, inputs: int, units: int, cell: CellName = "lstm") -> None:
        super().__init__()
        self._cell = _CELLS[cell]
        self.units = units
        self.state_width = self._cell.parts * units
        self.input = nn.Linear(inputs, self._cell.gates * units)
        self.hidden = nn.Linear(units, self._cell.gates * units, bias=False)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(units**-0.5), units**-0.5)

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Read visits.

        Parameters
        ----------
        x : Tensor of shape (B, T, I)
            The visits, each patient's from the left.
        state : Tensor of shape (B, state_width), optional
            The state before the first; zeros where it is not given.

        Returns
        -------
        Tensor of shape (B, T, H)
            The hidden state after each visit.
        """
        put_in = self.input(x).float()
        start = self.nothing_seen(len(x)) if state is None else state.float()
        weight = self.hidden.weight.detach()
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            course = self._cell.forward(put_in, weight, start)
        if not torch.is_grad_enabled():
            return course.states[:, 1:]
        # Its values are in the states already; it is there to be given their gradient.
        carried = self.hidden(course.states[:, :-1])
        found = _ThroughTime.apply(put_in, carried, start, weight, self._cell, course)
        return cast(Tensor, found)

    @torch.no_grad()
    def step(self, x: Tensor, state: Tensor) -> Tensor:
        """Read one visit a patient, without gradients.

        Parameters
        ----------
        x : Tensor of shape (B, I)
            The visit.
        state : Tensor of shape (B, state_width)
            The state before it.

        Returns
        -------
        Tensor of shape (B, state_width)
            The state after it; its first H numbers are the hidden state.
        """
        put_in = self.input(x).float()[:, None]
        with torch.autocast(x.device.type, enabled=False):
            return self._cell.forward(put_in, self.hidden.weight, state.float()).end

    def nothing_seen(self, n: int) -> Tensor:
        """State of n patients before anything is known of them, (n, state_width)."""
        return self.hidden.weight.new_zeros((n, self.state_width))

"""Training: one loop, and what it stands on."""

from synthehr.train.callbacks import progress
from synthehr.train.loop import History, train
from synthehr.train.runtime import Runtime, find_runtime
from synthehr.train.state import Callback, State

__all__ = ["Callback", "History", "Runtime", "State", "find_runtime", "progress", "train"]

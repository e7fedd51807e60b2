"""Training: one loop, and what it stands on."""

from synthehr.train.loop import Callback, History, train
from synthehr.train.runtime import Runtime, find_runtime

__all__ = ["Callback", "History", "Runtime", "find_runtime", "train"]

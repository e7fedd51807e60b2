"""Synthetic patient tables: learn one, sample it, see how faithful and how exposed it is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthehr.errors import SynthehrError
    from synthehr.estimators.imputer import SynthImputer
    from synthehr.estimators.resampler import SynthResampler
    from synthehr.evaluation.evaluate import evaluate
    from synthehr.evaluation.report import Report
    from synthehr.image_synthesizer import ImageSynthesizer
    from synthehr.modes.constraints import Rules
    from synthehr.modes.parity import Parity
    from synthehr.modes.pooling import Pooled, pool
    from synthehr.privacy.config import Privacy
    from synthehr.schema.table import Column, Schema
    from synthehr.sequence_synthesizer import SequenceSynthesizer
    from synthehr.synthesizer import Synthesizer, load

__version__ = "0.1.0"

__all__ = [
    "Column",
    "ImageSynthesizer",
    "Parity",
    "Pooled",
    "Privacy",
    "Report",
    "Rules",
    "Schema",
    "SequenceSynthesizer",
    "SynthImputer",
    "SynthResampler",
    "SynthehrError",
    "Synthesizer",
    "evaluate",
    "load",
    "pool",
]

_HOMES = {
    "Column": "synthehr.schema.column",
    "ImageSynthesizer": "synthehr.image_synthesizer",
    "Parity": "synthehr.modes.parity",
    "Pooled": "synthehr.modes.pooling",
    "Privacy": "synthehr.privacy.config",
    "Report": "synthehr.evaluation.report",
    "Rules": "synthehr.modes.constraints",
    "Schema": "synthehr.schema.table",
    "SequenceSynthesizer": "synthehr.sequence_synthesizer",
    "SynthImputer": "synthehr.estimators.imputer",
    "SynthResampler": "synthehr.estimators.resampler",
    "SynthehrError": "synthehr.errors",
    "Synthesizer": "synthehr.synthesizer",
    "evaluate": "synthehr.evaluation.evaluate",
    "load": "synthehr.synthesizer",
    "pool": "synthehr.modes.pooling",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'synthehr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

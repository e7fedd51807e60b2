"""Packages that read foreign files: imported late, kept silent, and what they raise."""

from __future__ import annotations

import importlib
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from synthehr.errors import InputError

# What they raise on files that are damaged or made to harm.
BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError,
    ArithmeticError, RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


def needed(package: str, files: str) -> Any:
    """Import a package of the extra medical-images.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(
            f"{files} files need the package {package.partition('.')[0]}",
            hint="pip install 'synthehr[medical-images]'",
        ) from None


@contextmanager
def quiet(log: str) -> Iterator[None]:
    """Silence a package whose warnings and log records quote what they warn of."""
    logger = logging.getLogger(log)
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before

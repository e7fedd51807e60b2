"""Packages that only some formats need."""

from __future__ import annotations

import importlib
from typing import Any

from synthehr.errors import InputError


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

"""Arrow's compute functions under a name that type checkers accept."""

from __future__ import annotations

from typing import Any

import pyarrow.compute

# Arrow makes these functions when it is imported, so that no type checker knows of them.
compute: Any = pyarrow.compute

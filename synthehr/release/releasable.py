"""From a synthetic table and its model file to the report that may be published beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.evaluation.releasable import ReleasableReport
    from synthehr.schema.table import Schema


def of_file(synthetic: Any, model: Path) -> ReleasableReport:
    """Make the releasable report of a table that was drawn from a model file.

    Parameters
    ----------
    synthetic : path or table
        What was drawn.
    model : Path
        The model file.

    Raises
    ------
    ConfigError
        If the model is not differentially private, or its ledger does not add up.
    SynthehrError
        If a file cannot be read, or they do not belong together.
    """
    from synthehr.artifact import read_metadata
    from synthehr.io import read
    from synthehr.schema.table import Schema

    content = read_metadata(model).content
    schema = Schema.from_json(content["schema"])
    return releasable(read(synthetic).table, schema, content["record"])


def releasable(table: pa.Table, schema: Schema, record: Mapping[str, Any]) -> ReleasableReport:
    """Make the releasable report of a synthetic table.

    Parameters
    ----------
    table : Table
        Synthetic records.
    schema, record
        Schema and run record of the model that they were drawn from.

    Raises
    ------
    ConfigError
        If the model is not differentially private, or its ledger does not add up.
    InputError
        If the table has other columns than the schema.
    """
    from synthehr.evaluation.alone import alone
    from synthehr.evaluation.releasable import ReleasableReport
    from synthehr.privacy.stated import stated

    ledger = stated(record)
    if ledger is None:
        raise ConfigError(
            "a releasable report needs a differentially private model, and this one has no ledger",
            hint="fit it with --epsilon; any other report is computed on records, and internal",
        )
    return ReleasableReport(ledger, schema, alone(table, schema), record["versions"]["synthehr"])

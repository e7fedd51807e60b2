"""What the folder of every release has: a data dictionary, a page to read, and checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from synthehr.errors import ConfigError, GateError

if TYPE_CHECKING:
    from synthehr.encode.categorical import CategoricalColumn
    from synthehr.encode.numeric import NumericColumn
    from synthehr.privacy.config import Privacy
    from synthehr.schema.table import Schema

DATA = "synthetic.parquet"
SUMS = "SHA256SUMS"

Tell = Callable[[str], None]


def is_release(folder: Path) -> bool:
    """Say whether a folder is an earlier release."""
    return (folder / SUMS).is_file()


def refuse_figures(
    privacy: Privacy | None, limits: Mapping[str, float] | None, target: str | None
) -> None:
    """Refuse what would make a private release hang on more than its ledger.

    Raises
    ------
    ConfigError
        Naming the option.
    """
    if privacy is None:
        return
    for name, value in (("--fail-under", limits), ("--target", target)):
        if value:
            raise ConfigError(
                f"{name} does not go with --epsilon: what is released would hang on figures of "
                "records that nobody charged for",
                hint="leave it out, and look at the figures with `synthehr report`, for yourself",
            )


def dictionary(
    schema: Schema, modelled: Iterable[tuple[str, NumericColumn | CategoricalColumn]]
) -> pa.Table:
    """Say of each column what a reader of the records has to know, one row a column.

    Parameters
    ----------
    schema : Schema
        What the columns are.
    modelled : iterable of (name, column)
        Those whose levels and ranges the model learned: enough patients hold each.
    """
    from synthehr.modes.given import learned

    known = dict(modelled)
    rows = [
        {
            "column": column.name,
            "kind": column.kind,
            "role": column.role,
            "type": column.arrow_type,
            "unit": column.unit or "",
            "null": "yes" if column.nullable else "no",
            "values": learned(known[column.name]) if column.name in known else "",
        }
        for column in schema.columns
        if column.role != "drop"
    ]
    return pa.Table.from_pylist(rows)


def publish(
    draft: Path,
    drawn: pa.Table,
    schema: Schema,
    record: Mapping[str, Any],
    ledger: Mapping[str, Any],
    tell: Tell,
) -> str:
    """Write what may stand beside the records of a private fit, and name what to read.

    Where there are no columns beside images, that is the ledger alone.
    """
    from synthehr.io import write_text
    from synthehr.privacy.stated import warning_of
    from synthehr.release.releasable import releasable

    if warning := warning_of(ledger["epsilon"]):
        tell(f"warning: {warning}")
    tell("\n".join(ledger["claim"]))
    text = json.dumps(ledger, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(draft / "ledger.json", text + "\n")
    if not drawn.num_columns:
        return "ledger.json"
    releasable(drawn, schema, record).to_html(draft / "releasable.html")
    return "releasable.html"


def sign(folder: Path) -> dict[str, str]:
    """Write the SHA-256 of every file beside them, as `sha256sum --check` reads it."""
    from synthehr.io import write_text

    sums = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        sums[path.relative_to(folder).as_posix()] = digest
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    return sums


def conclude(
    folder: Path, page: str, sums: Mapping[str, str], failures: Sequence[str], tell: Tell
) -> None:
    """Tell what was written.

    Raises
    ------
    GateError
        If a gate failed, so that no records are in the folder.
    """
    if failures:
        raise GateError(
            f"no records were released: {'; '.join(failures)}",
            hint=f"read {folder / page}; train longer, or change a limit with "
            "--fail-under name=value",
        )
    tell(f"wrote {folder}: {', '.join(sums)}\nnext: read {folder / page}")

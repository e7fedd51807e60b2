"""PhysioNet 2019: a file a patient, hour by hour, columns separated by bars.

Reference
---------
Reyna et al., Early prediction of sepsis from clinical data: the PhysioNet/Computing in
Cardiology Challenge 2019. Critical Care Medicine 48 (2020). doi:10.1097/CCM.0000000000004145
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from synthehr.errors import InputError
from synthehr.io.names import check_names
from synthehr.io.visits.pivot import whole_where_possible
from synthehr.io.visits.text_folder import numbers_of, read_alike, write_alike
from synthehr.io.visits.visits import VisitTable, arranged
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown

PATIENT, TIME = "patient", "ICULOS"
OURS = re.compile(r"p\d+\.psv")
_STATIC = ("Age", "Gender", "Unit1", "Unit2", "HospAdmTime")


def read_physionet2019(folder: Path, rare_patients: int) -> VisitTable:
    """Read a set of patients; the file's name is the id, and NaN is null.

    Raises
    ------
    InputError
        If the files differ in their columns, or cells are no numbers.
    """
    paths = sorted(folder.rglob("*.psv"))
    if not paths:
        raise InputError(f"{folder.name} holds no files *.psv", hint="Give their folder.")
    with paths[0].open("rb") as file:
        names = file.readline(2**16).decode("utf-8", errors="replace").strip().split("|")
    check_names([PATIENT, *names])
    if TIME not in names:
        raise InputError(f"the files lack the column {TIME}", hint="It holds the hour of the stay.")
    rows, owner = read_alike(paths, names, "|", ["", "NaN"])
    ids = pa.array([path.stem for path in paths])
    columns: dict[str, pa.Array | pa.ChunkedArray] = {PATIENT: ids.take(pa.array(owner))}
    for name in names:
        cells = numbers_of(rows.column(name), f"column {shown(name)}")
        columns[name] = whole_where_possible(cells, pa.int32())
    static = [name for name in _STATIC if name in names]
    return arranged(pa.table(columns), PATIENT, TIME, static=static, layout="physionet2019")


def write_physionet2019(visits: VisitTable, folder: Path) -> None:
    """Write a file a patient, numbered from 1, with NaN for null."""
    names = [name for name in visits.table.column_names if name != visits.patient]
    cells = [visits.table.column(name) for name in names]
    numbers = [x.cast(pa.int8()) if pa.types.is_boolean(x.type) else x for x in cells]
    texts = [pc.fill_null(x.cast(pa.string()), "NaN") for x in numbers]
    lines = pc.binary_join_element_wise(*texts, "|").combine_chunks()
    ends = visits.offsets()[1:].tolist()
    files = [f"p{i:06d}.psv" for i in np.arange(1, len(ends) + 1)]
    write_alike(folder, files, ["|".join(names) + "\n"] * len(ends), lines, ends)

"""Columns that may name a person: hints in the name, shapes and checksums in the cells.

After the 18 identifiers of the Safe Harbor rule, 45 CFR 164.514(b)(2).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import is_text
from synthehr.kernels import compute as pc
from synthehr.schema.kinds import Guess, is_named_like_id, sample
from synthehr.schema.person_names import PERSON_NAMES
from synthehr.schema.words import holds, words_of

_PHRASES: tuple[tuple[str, str], ...] = (
    ("email", "email|e mail|mail address|mailaddress"),
    ("IP address", "ip address|ipaddress|ip addr|ipv4|ipv6"),
    ("device number", "mac address|serial number|serial no|imei|device id|device serial|udi"),
    ("URL", "url|website|web address|homepage|web site"),
    ("phone number", "phone|telephone|mobile|cell phone|fax|tel|phonenumber|phone number"),
    ("social security number", "ssn|social security|sozialversicherungsnummer|insee|nir|bsn|pesel"),
    ("NHS number", "nhs|nhs number|nhs no|chi number"),
    ("provider number", "npi|dea number"),
    ("health plan number", "mbi|medicare|medicaid|policy number|policy no|member id"),
    ("medical record number", "mrn|medical record number|record number|hospital number"),
    ("licence number", "driver|drivers|licence|license|licence number|passport|driving licence"),
    ("account number", "iban|account number|account no|bank account|credit card|card number|bic"),
    ("vehicle number", "vin|license plate|licence plate|number plate|registration plate"),
    ("address", "address|street|addr|postal address|house number|address line"),
    ("postcode", "postcode|post code|postal code|zip|zipcode|zip code|plz"),
    ("name", "first name|firstname|last name|lastname|surname|given name|family name|maiden"
     "|forename|full name|fullname|patient name|patientname|middle name|fname|lname|vorname"
     "|nachname|next of kin|mother name|father name|contact name|person name"),
    ("birth date", "dob|birth date|birthdate|date of birth|birthday|geburtsdatum"),
    ("biometric", "fingerprint|biometric|retina|voiceprint"),
    ("photograph", "photo|photograph|portrait"),
)  # fmt: skip
_WHOLE_NAMES = {"name", "names", "first", "last", "maiden", "mother", "father", "spouse"}
_DIGITAL = {
    "phone number", "social security number", "NHS number", "provider number", "postcode",
    "health plan number", "medical record number", "account number", "device number",
    "licence number",
}  # fmt: skip
_SHAPES: tuple[tuple[str, str, float], ...] = (
    ("email", r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$", 0.1),
    ("URL", r"^(?i:https?://|ftp://|www\.)\S+$", 0.5),
    ("social security number", r"^\d{3}-\d{2}-\d{4}$", 0.5),
    ("device number", r"^(?i:[0-9a-f]{2}[:-]){5}[0-9a-fA-F]{2}$", 0.8),
    ("IP address", r"^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)$", 0.8),
    ("IP address", r"^(?i:[0-9a-f]{0,4}:){3,7}[0-9a-fA-F]{0,4}$", 0.8),
    ("uuid", r"^(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$", 0.8),
    ("phone number", r"^\+\d[\d ()./-]{6,18}$", 0.5),
    ("phone number", r"^\(?0?\d{2,4}\)?[ ./-]\d{3,4}[ ./-]?\d{3,4}( ?x\d+)?$", 0.8),
)
_DATES = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_ENOUGH = 10
_ENOUGH_CHECKSUMS = 20


class Suspicion(NamedTuple):
    """What a column may hold, and what raised the suspicion."""

    what: str
    reason: str


def suspicion(name: str, cells: pa.ChunkedArray, found: Guess) -> Suspicion | None:
    """Say what direct identifier a column may hold, if any.

    Parameters
    ----------
    name : str
        The column's name.
    cells : pyarrow.ChunkedArray of shape (N,)
        The column.
    found : Guess
        What `synthehr.schema.kinds.guess` made of it.

    Returns
    -------
    Suspicion or None
        Its reason names what was seen, and no value.
    """
    if found.distinct == 0:
        return None
    hint = _hinted(name, cells, found)
    if hint is not None:
        return Suspicion(hint, f"its name suggests: {hint}")
    if pa.types.is_integer(cells.type) or is_text(cells.type):
        return _shaped(name, cells, found)
    return None


def _hinted(name: str, cells: pa.ChunkedArray, found: Guess) -> str | None:
    words = words_of(name)
    text = is_text(cells.type)
    timed = pa.types.is_date(cells.type) or pa.types.is_timestamp(cells.type)
    # Two or three levels are an answer ("has a phone"), not a number.
    if found.distinct < 4 and not timed:
        return None
    for what, phrases in _PHRASES:
        if not any(holds(words, phrase) for phrase in phrases.split("|")):
            continue
        if what == "birth date":
            return what if timed or text else None
        if text or (pa.types.is_integer(cells.type) and what in _DIGITAL):
            return what
    return "name" if text and "".join(words) in _WHOLE_NAMES else None


def _shaped(name: str, cells: pa.ChunkedArray, found: Guess) -> Suspicion | None:
    values = pc.unique(sample(cells))
    if pa.types.is_integer(values.type):
        extremes = pc.min_max(values).as_py()
        if extremes["min"] < 10**8 or found.kind != "id":
            # Arrow compares uint64 with uint64 alone, beyond int64.
            wide = values.type if values.type.bit_width == 64 else pa.int64()
            values = values.filter(pc.greater_equal(values, pa.scalar(10**8, wide)))
            if len(values) < 0.9 * found.distinct:
                return None
        return _checked(values.cast(pa.string()))
    values = pc.utf8_trim_whitespace(values)
    # A right check digit says more than a shape does.
    checked = _checked(values)
    if checked is not None:
        return checked
    for what, pattern, least in _SHAPES:
        hits = pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0
        if hits >= min(3, len(values)) and hits >= least * len(values) and hits >= 3:
            if what == "phone number" and _are_dates(values):
                continue
            return Suspicion(what, f"its cells have the shape of: {what}")
    if found.distinct >= _ENOUGH and _share(values, _named(values)) >= 0.5:
        return Suspicion("name", "its cells are common names of persons")
    return _record_number(name, values, found)


def _are_dates(values: pa.Array) -> bool:
    seen = values.slice(0, 200).to_pylist()
    return sum(_DATES.match(value) is not None for value in seen) > 0.5 * len(seen)


def _record_number(name: str, values: pa.Array, found: Guess) -> Suspicion | None:
    """Nearly unique digits of one length, as hospitals number their patients."""
    if found.kind != "id" or is_named_like_id(name) or len(values) < _ENOUGH_CHECKSUMS:
        return None
    lengths = pc.value_counts(pc.utf8_length(values))
    most = pc.max(lengths.field("counts")).as_py()
    digits = _share(values, pc.match_substring_regex(values, r"^[A-Za-z]{0,3}-?\d{5,12}$"))
    if most >= 0.95 * len(values) and digits >= 0.95:
        return Suspicion(
            "medical record number", "its cells are nearly unique numbers of one length"
        )
    return None


def _named(values: pa.Array) -> pa.Array:
    words = pc.utf8_lower(pc.replace_substring_regex(values, r"[^\p{L} ,-]", ""))
    parts = pc.split_pattern_regex(words, r"[ ,-]+")
    known = pc.is_in(parts.flatten(), value_set=pa.array(PERSON_NAMES))
    rows = pc.list_parent_indices(parts).filter(known)
    return pc.is_in(pa.array(range(len(values)), rows.type), value_set=pc.unique(rows))


def _share(values: pa.Array, mask: pa.Array) -> float:
    return (pc.sum(mask).as_py() or 0) / max(len(values), 1)


def _checked(values: pa.Array) -> Suspicion | None:
    """Find numbers whose check digits are right far too often for chance."""
    plain = pc.replace_substring_regex(values, r"[ -]", "")
    for what, pattern, valid in (
        ("NHS number", r"^\d{10}$", _nhs_valid),
        ("provider number", r"^[12]\d{9}$", _npi_valid),
        ("account number", r"^\d{13,19}$", _luhn_rows),
    ):
        candidates = plain.filter(pc.match_substring_regex(plain, pattern))
        if len(candidates) < max(_ENOUGH_CHECKSUMS, 0.8 * len(values)):
            continue
        if valid(candidates.to_pylist()) >= 0.95:
            return Suspicion(what, f"its cells have the check digits of: {what}")
    banks = plain.filter(pc.match_substring_regex(plain, r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$"))
    if len(banks) >= max(3, 0.1 * len(values)):
        right = [_iban_valid(text) for text in banks.slice(0, 200).to_pylist()]
        if sum(right) >= 0.8 * len(right):
            return Suspicion("account number", "its cells have the check digits of an IBAN")
    return None


def _digits(texts: list[str]) -> NDArray[np.int64]:
    return np.array([list(text) for text in texts], dtype="U1").astype(np.int64)


def _luhn(digits: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Check rows of digits by Luhn's sum, ISO/IEC 7812-1."""
    doubled = digits[:, ::-1].copy()
    doubled[:, 1::2] *= 2
    doubled[doubled > 9] -= 9
    return doubled.sum(axis=1) % 10 == 0


def _luhn_rows(texts: list[str]) -> float:
    lengths = {len(text) for text in texts}
    right = sum(int(_luhn(_digits([t for t in texts if len(t) == n])).sum()) for n in lengths)
    return right / len(texts)


def _npi_valid(texts: list[str]) -> float:
    return float(_luhn(_digits([f"80840{text}" for text in texts])).mean())


def _nhs_valid(texts: list[str]) -> float:
    """Share with a right check digit modulo 11, NHS Data Dictionary."""
    digits = _digits(texts)
    expected = 11 - digits[:, :9] @ np.arange(10, 1, -1) % 11
    return float((expected % 11 == digits[:, 9]).mean())


def _iban_valid(text: str) -> bool:
    """Check ISO 13616: the number, moved and spelled in digits, is 1 modulo 97."""
    moved = text[4:] + text[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1

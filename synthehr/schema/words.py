"""Words of a column's name, so that hints match words and not letters."""

from __future__ import annotations

import re
import unicodedata

_BREAKS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
_PATIENT_WORDS = {"patient", "subject", "person", "participant", "randid", "pat"}
_PATIENT_TAILS = {
    "", "id", "nbr", "no", "nr", "number", "num", "key", "identifier", "ref", "pseudonym",
}  # fmt: skip


def words_of(name: str) -> tuple[str, ...]:
    """Split a name at spaces, signs and humps, in lower case without accents.

    Examples
    --------
    >>> words_of("patientID_1.dateOfBirth")
    ('patient', 'id', '1', 'date', 'of', 'birth')
    """
    plain = unicodedata.normalize("NFKD", name[:256])
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return tuple(word.lower() for word in _BREAKS.split(plain) if word)


def holds(words: tuple[str, ...], phrase: str) -> bool:
    """Whether the words of the phrase stand in the name, one after the other."""
    wanted = tuple(phrase.split())
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


def names_a_patient(name: str) -> bool:
    """Whether a column is named as ids of patients are.

    Examples
    --------
    >>> names_a_patient("subject_id"), names_a_patient("patient_age")
    (True, False)
    """
    words = words_of(name)
    if not 1 <= len(words) <= 2:
        return False
    if words[0] in _PATIENT_WORDS and "".join(words[1:]) in _PATIENT_TAILS:
        return True
    return "".join(words) in {f"{a}{b}" for a in _PATIENT_WORDS for b in _PATIENT_TAILS}

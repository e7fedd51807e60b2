"""Words of a column's name, so that hints match words and not letters."""

from __future__ import annotations

import re
import unicodedata

_BREAKS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


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

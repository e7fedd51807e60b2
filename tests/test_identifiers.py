"""Direct identifiers: found by name, shape and checksum, and not where there are none."""

from __future__ import annotations

import uuid

import numpy as np
import pyarrow as pa
import pytest

from synthehr.schema.infer import infer

N = 60
RANDOM = np.random.default_rng(1)


def identifier_of(cells, name="field"):
    return infer(pa.table({name: cells}), open_questions="keep")[name].identifier


def digits(count, width):
    return ["".join(str(d) for d in RANDOM.integers(0, 10, width)) for _ in range(count)]


def with_luhn(prefix, body):
    total = 0
    for i, d in enumerate(reversed(prefix + body)):
        twice = int(d) * 2 if i % 2 == 0 else int(d)
        total += twice - 9 if twice > 9 else twice
    return body + str(-total % 10)


def with_nhs(body):
    check = (11 - sum(int(d) * w for d, w in zip(body, range(10, 1, -1), strict=True)) % 11) % 11
    return None if check == 10 else body + str(check)


def with_iban(account):
    number = "".join(str(int(c, 36)) for c in account + "DE00")
    return f"DE{98 - int(number) % 97:02d}{account}"


NHS = [text for text in map(with_nhs, digits(200, 9)) if text]


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ([f"person{i}@clinic.example.org" for i in range(N)], "email"),
        ([f"https://clinic.example.org/p/{i}" for i in range(N)], "URL"),
        ([f"{a}-{b}-{c}" for a, b, c in zip(digits(N, 3), digits(N, 2), digits(N, 4), strict=True)],
         "social security number"),
        ([f"10.0.{i % 250}.{i}" for i in range(N)], "IP address"),
        ([f"2001:db8:0:0:0:0:0:{i:x}" for i in range(N)], "IP address"),
        ([f"00:1b:44:11:3a:{i:02x}" for i in range(N)], "device number"),
        ([f"+44 20 7946 {i:04d}" for i in range(N)], "phone number"),
        ([f"555-{i % 900 + 100}-{i:04d}" for i in range(N)], "phone number"),
        (NHS, "NHS number"),
        ([f"{t[:3]} {t[3:6]} {t[6:]}" for t in NHS], "NHS number"),
        ([with_luhn("80840", "1" + body) for body in digits(N, 8)], "provider number"),
        ([int(with_luhn("80840", "1" + body)) for body in digits(N, 8)], "provider number"),
        ([with_luhn("", "4" + body) for body in digits(N, 14)], "account number"),
        ([with_iban(body) for body in digits(N, 18)], "account number"),
        ([f"{i * 7919 % 900000 + 100000}" for i in range(N)], "medical record number"),
        ([f"{a} {b}" for a in ("Mary", "John", "Linda", "Robert", "Anna", "Peter", "Susan", "Kevin")
          for b in ("Smith", "Johnson", "Garcia", "Nguyen", "Miller")], "name"),
    ],
)  # fmt: skip
def test_cells_of_a_known_shape_are_suspected(cells, what):
    assert identifier_of(cells) == what


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("Patient Name", "name"),
        ("lastName", "name"),
        ("FIRST_NAME", "name"),
        ("name", "name"),
        ("street_address", "address"),
        ("email", "email"),
        ("ip_address", "IP address"),
        ("HomePhone", "phone number"),
        ("SSN", "social security number"),
        ("nhs_number", "NHS number"),
        ("MRN", "medical record number"),
        ("passport", "licence number"),
        ("zip_code", "postcode"),
        ("iban", "account number"),
        ("device_serial", "device number"),
    ],
)
def test_names_that_say_so_are_suspected(name, what):
    cells = [f"v{i % 20}" for i in range(N)]
    assert identifier_of(cells, name) == what


def test_birth_dates_are_suspected_and_other_dates_are_not():
    dates = pa.array(np.arange(N) * 97, pa.int32()).cast(pa.date32())
    assert identifier_of(dates, "date_of_birth") == "birth date"
    assert identifier_of(dates, "dob") == "birth date"
    assert identifier_of(dates, "admission_date") is None


def test_numbers_are_suspected_by_name_only():
    numbers = RANDOM.integers(10**8, 10**9, N)
    assert identifier_of(numbers, "ssn") == "social security number"
    assert identifier_of(numbers, "platelets") is None


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        ([f"I{i % 90:02d}.{i % 9}" for i in range(N)], "diag_1"),
        ([f"{i % 9}0-{i % 9}9" for i in range(N)], "age_group"),
        ([f"2020-01-{i % 28 + 1:02d}" for i in range(N)], "seen"),
        ([f"00{i:09d}" for i in range(N // 2)] * 2, "ndc"),
        (["Urban", "Rural", "Suburb", "Farm"] * 15, "Residence_type"),
        (["yes", "no"] * 30, "has_phone"),
        (["Jan", "May", "June", "August", "April"] * 12, "Month"),
        (["Private", "Self-emp", "Gov", "None"] * 15, "employer_name_class"),
        (list(RANDOM.normal(100, 10, N)), "phone_minutes"),
        ([f"{i % 40} mg" for i in range(N)], "dose"),
        (
            ["Smith fracture", "Parkinson", "Crohn", "Addison", "Cushing", "Graves"] * 10,
            "diagnosis",
        ),
    ],
)
def test_ordinary_columns_are_not_suspected(cells, name):
    assert identifier_of(cells, name) is None


def test_the_largest_unsigned_integers_are_looked_at_too():
    assert identifier_of(pa.array([2**64 - 1 - n for n in range(N)], pa.uint64())) is None


def test_random_keys_are_made_up_anew_without_asking():
    keys = [str(uuid.UUID(int=int(RANDOM.integers(2**62)))) for _ in range(N)]
    column = infer(pa.table({"encounter": keys}))["encounter"]
    assert (column.kind, column.identifier, column.pii) == ("id", "uuid", "surrogate")


def test_a_mixed_column_with_some_mails_is_suspected():
    assert (
        identifier_of([f"a{i}@b.org" if i % 5 == 0 else f"ward {i}" for i in range(N)]) == "email"
    )


def test_reason_holds_no_cell():
    column = infer(
        pa.table({"contact": [f"zaphod{i}@b.org" for i in range(N)]}), open_questions="keep"
    )["contact"]
    assert "zaphod" not in column.reason

"""Rules: what is read, what records keep, what is refused, what is found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import run
from hypothesis import given, settings
from hypothesis import strategies as st

from synthehr import Privacy, Schema, Synthesizer
from synthehr.errors import ConditionError, ConfigError
from synthehr.kernels import compute
from synthehr.modes.constraints import Order, Rules, Together
from synthehr.modes.given import wished
from synthehr.modes.rule_checks import any_broken, broken
from synthehr.modes.rule_mining import mine
from synthehr.run.drawing import Tally, draw
from synthehr.schema.infer import infer

FILE = """
[[rule]]
order = ["dbp", "sbp"]
[[rule]]
order = ["admitted", "discharged"]
[[rule]]
if = "sex=M"
then = "pregnant=no"
[[rule]]
if = "smoker=no"
then = "packs=null"
[[rule]]
together = ["ward", "building"]
[[rule]]
column = "bmi"
formula = "weight / (`height in cm` / 100) ** 2"
decimals = 1
[[rule]]
column = "dose"
increment = 0.5
[[rule]]
then = "height in cm=140:200"
""".replace('then = "`height in cm`', 'then = "height in cm')
QUICK = {"train": {"steps": 60}, "model": {"width": 64, "blocks": 1}}


def clinic(n: int = 1500) -> pa.Table:
    """Records that keep all rules of `FILE`, but for heights."""
    rng = np.random.default_rng(0)
    dbp = np.round(rng.normal(75, 10, n))
    admitted = np.datetime64("2020-01-01") + rng.integers(0, 400, n)
    sex = rng.choice(["F", "M"], n)
    ward = rng.choice(["A1", "A2", "B1", "C1"], n)
    building = np.vectorize({"A1": "north", "A2": "north", "B1": "south", "C1": "east"}.get)(ward)
    height, weight = np.round(rng.normal(170, 9, n)), np.round(rng.normal(75, 14, n), 1)
    height[0] = 210
    smoker = rng.choice(["no", "yes"], n)
    return pa.table({
        "dbp": pa.array(dbp, mask=rng.random(n) < 0.05),
        "sbp": dbp + np.round(rng.gamma(3, 12, n)),
        "admitted": admitted,
        "discharged": admitted + rng.geometric(0.25, n) - 1,
        "sex": sex,
        "pregnant": np.where(sex == "M", "no", rng.choice(["yes", "no"], n, p=[0.2, 0.8])),
        "ward": ward,
        "building": building,
        "height in cm": height,
        "weight": weight,
        "bmi": np.round(weight / (height / 100) ** 2, 1),
        "dose": rng.integers(1, 20, n) * 0.5,
        "smoker": smoker,
        "packs": pa.array(np.round(rng.gamma(2, 8, n)), mask=smoker == "no"),
    })  # fmt: skip


def rules(text: str = FILE) -> Rules:
    import tomllib

    return Rules.from_json(tomllib.loads(text))


@pytest.fixture(scope="module")
def fitted() -> Synthesizer:
    return Synthesizer(seed=1, settings=QUICK).fit(clinic(), rules=rules())


def counts(synthesizer: Synthesizer, table: pa.Table) -> dict[str, int]:
    kept = synthesizer.artifact.rules
    return {rule.name: int(broken(rule.body, table).sum()) for rule in kept.rules}


def combinations(rules: Rules) -> tuple[tuple[object, ...], ...]:
    """Those of the only rule that has some."""
    (body,) = [rule.body for rule in rules.rules if isinstance(rule.body, Together)]
    return body.allowed or ()


def test_no_record_breaks_a_rule_though_many_would(fitted: Synthesizer) -> None:
    drawn = pa.concat_tables(fitted.sample_batches(3000, seed=2))
    assert set(counts(fitted, drawn).values()) == {0}
    assert drawn.schema.names == clinic(20).schema.names
    unruled = fitted.record["drawn_without_rules"]
    assert unruled["broken"]["admitted <= discharged"] > 0.2 * unruled["records"]
    assert drawn["bmi"].null_count == 0
    assert 15 < np.mean(drawn["bmi"].to_numpy()) < 40


def test_a_model_that_cannot_be_masked_keeps_them() -> None:
    short = {"train": {"steps": 30}}
    text = FILE.split('[[rule]]\nif = "smoker')[0]
    synthesizer = Synthesizer("vae", seed=1, settings=short).fit(clinic(600), rules=rules(text))
    drawn = pa.concat_tables(synthesizer.sample_batches(300, seed=2))
    assert set(counts(synthesizer, drawn).values()) == {0}
    for asked in ("sex=M", clinic(30).select(["sex"])):
        drawn = pa.concat_tables(synthesizer.sample_batches(given=asked, n=30, seed=2))
        assert set(counts(synthesizer, drawn).values()) == {0}


def test_conditions_and_rules_hold_together(fitted: Synthesizer) -> None:
    given = "pregnant=yes, building=north, sbp=100:120"
    drawn = pa.concat_tables(fitted.sample_batches(500, given, seed=2))
    assert set(counts(fitted, drawn).values()) == {0}
    assert set(drawn["sex"].to_pylist()) == {"F"}
    assert set(drawn["ward"].to_pylist()) <= {"A1", "A2"}
    assert drawn["sbp"].to_numpy().max() <= 120


def test_given_cells_that_break_a_rule_are_an_error_that_names_it(fitted: Synthesizer) -> None:
    with pytest.raises(ConditionError, match="if sex=M then pregnant=no"):
        fitted.sample(20, given="sex=M, pregnant=yes", seed=2)


def test_partial_records_are_continued_by_the_rules(fitted: Synthesizer) -> None:
    partial = clinic(40).select(["sex", "ward", "dbp"])
    drawn = pa.concat_tables(fitted.sample_batches(given=partial, seed=3))
    assert drawn["ward"].to_pylist() == partial["ward"].to_pylist()
    assert set(counts(fitted, drawn).values()) == {0}


def test_a_computed_column_cannot_be_given(fitted: Synthesizer) -> None:
    with pytest.raises(ConditionError, match="is computed from others"):
        fitted.sample(given=clinic(5).select(["bmi"]))


def test_a_record_hangs_on_the_seed_and_its_place_alone(fitted: Synthesizer) -> None:
    few = pa.concat_tables(fitted.sample_batches(100, seed=4))
    many = pa.concat_tables(fitted.sample_batches(1300, seed=4))
    assert few.equals(many.slice(0, 100))


def test_repairs_are_counted(fitted: Synthesizer) -> None:
    tally = Tally()
    list(draw(fitted.artifact, wished(fitted.artifact, 1024, None), 5, tally))
    assert tally.repairs.values > 0


def test_ids_are_those_of_records_without_rules() -> None:
    table = clinic(400).append_column("patient", pa.array([f"P{i:03}" for i in range(400)]))
    text = '[[rule]]\norder = ["admitted", "discharged"]'
    synthesizer = Synthesizer(seed=1, settings=QUICK).fit(
        table, patient="patient", rules=rules(text)
    )
    drawn = pa.concat_tables(synthesizer.sample_batches(300, seed=2))
    assert len(set(drawn["patient"].to_pylist())) == 300


def test_filled_cells_keep_them_and_computed_ones_follow(fitted: Synthesizer) -> None:
    rng = np.random.default_rng(1)
    whole = clinic(800)
    names = ["sbp", "discharged", "pregnant", "building", "bmi", "dose"]
    for name in names:
        place, mask = whole.column_names.index(name), pa.array(rng.random(800) < 0.5)
        cells = compute.if_else(mask, None, whole[name].combine_chunks())
        whole = whole.set_column(place, name, cells)
    filled = fitted.impute(whole, seed=3)
    assert {name: filled[name].null_count for name in names} == dict.fromkeys(names, 0)
    assert filled["packs"].null_count == whole["packs"].null_count
    # the one height that breaks its rule was known
    wrong = {name: count for name, count in counts(fitted, filled).items() if count}
    assert wrong == {"height in cm=140:200": 1}


def test_impossible_rules_are_an_error_that_names_them() -> None:
    text = '[[rule]]\norder = ["dbp", "sbp"]\n[[rule]]\norder = ["sbp", "dbp"]\nstrict = true'
    synthesizer = Synthesizer(seed=1, settings=QUICK)
    whole = clinic(300)
    table = whole.set_column(0, "dbp", whole["dbp"].combine_chunks().fill_null(75.0))
    synthesizer.fit(table, rules=rules(text))
    with pytest.raises(ConditionError, match=r"sbp < dbp"):
        synthesizer.sample(10, seed=1)


def test_a_model_file_keeps_rules_and_combinations(fitted: Synthesizer, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m.synthehr")
    loaded = Synthesizer.load(tmp_path / "m.synthehr")
    assert loaded.artifact.rules == fitted.artifact.rules
    assert pa.Table.from_pandas(loaded.sample(50, seed=9)).num_rows == 50
    assert {*combinations(loaded.artifact.rules)} == {
        ("A1", "north"),
        ("A2", "north"),
        ("B1", "south"),
        ("C1", "east"),
    }


def test_combinations_that_few_patients_hold_are_not_kept() -> None:
    table = clinic(300)
    odd = pa.array(["south", *table["building"].to_pylist()[1:]])
    table = table.set_column(7, "building", odd).set_column(
        6, "ward", pa.array(["A1", *table["ward"].to_pylist()[1:]])
    )
    text = '[[rule]]\ntogether = ["ward", "building"]'
    prepared = Synthesizer(seed=1, settings=QUICK).prepare(table, rules=rules(text))
    assert ("A1", "south") not in combinations(prepared.rules)
    assert ("A1", "north") in combinations(prepared.rules)


def test_private_fits_take_rules_that_are_given_and_no_found_ones(tmp_path: Path) -> None:
    privacy = Privacy(epsilon=50.0, delta=1e-6, public_rows=900, discover=True)
    tiny = {"width": 32, "blocks": 1}
    quick = {"train": {"steps": 2}, "privacy": {"rounds": 0, "round_steps": 1}, "model": tiny}
    table = clinic(900)
    schema = infer(table)
    text = FILE.replace('"building"]', '"building"]\nallowed = [["A1", "north"], ["B1", "south"]]')
    synthesizer = Synthesizer(seed=1, settings=quick)
    synthesizer.fit(table, schema, privacy=privacy, rules=rules(text))
    drawn = pa.concat_tables(synthesizer.sample_batches(200, seed=2))
    assert set(counts(synthesizer, drawn).values()) == {0}
    with pytest.raises(ConfigError, match="takes its combinations from the records"):
        synthesizer.prepare(table, schema, privacy=privacy, rules=rules())
    with pytest.raises(ConfigError, match="found in the records"):
        synthesizer.prepare(table, schema, privacy=privacy, rules=rules("mined = true\n" + text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("order = 3", "something other than"),
        ("[[rule]]\norder = ['a']", "rule 1"),
        ("[[rule]]\nodd = 1", "has the keys odd"),
        ("[[rule]]\nthen = 'a'", "name=value"),
        ("[[rule]]\ncolumn = 'a'\nformula = 'open(b)'", "no arithmetic"),
        ("[[rule]]\ncolumn = 'a'\nformula = '1 + 2'", "no arithmetic"),
        ("[[rule]]\ncolumn = 'a'\nformula = 'a + b'", "in a circle"),
        ("[[rule]]\ncolumn='a'\nformula='b'\n[[rule]]\ncolumn='a'\nformula='c'", "two formulas"),
        ("[[rule]]\ncolumn = 'a'\nincrement = 0", "not fit"),
        ("[[rule]]\ntogether = ['a', 'b']\nallowed = [['x']]", "not fit"),
        ("[[rule]]\norder = ['a', 'b']\n[[rule]]\norder = ['a', 'b']", "two rules are called"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        rules(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[rule]]\norder = ['dbp', 'nowhere']", "the table lacks"),
        ("[[rule]]\norder = ['dbp', 'sex']", "cannot be compared"),
        ("[[rule]]\norder = ['dbp', 'admitted']", "cannot be compared"),
        ("[[rule]]\nif = 'dbp=high'\nthen = 'sex=F'", "cannot be read as"),
    ],
)
def test_what_does_not_fit_the_table_is_refused(text: str, why: str) -> None:
    with pytest.raises((ConfigError, ConditionError), match=why):
        Synthesizer(seed=1).prepare(clinic(200), rules=rules(text))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(-5, 5)), st.integers(-5, 5)), min_size=1)
)
def test_order_is_broken_where_known_values_descend(rows: list[tuple[int | None, int]]) -> None:
    table = pa.table({"a": pa.array([a for a, _ in rows]), "b": pa.array([b for _, b in rows])})
    if table["a"].null_count == len(rows):
        return
    expected = [a is not None and a > b for a, b in rows]
    assert broken(Order(("a", "b")), table).tolist() == expected


def test_columns_of_unlike_types_are_compared_in_days_or_as_numbers() -> None:
    day = np.array(["2020-01-02", "2020-01-02"], "datetime64[D]")
    time = np.array(["2020-01-02T00:00:01", "2020-01-01T23:59:59"], "datetime64[s]")
    table = pa.table({"day": day, "time": time, "int": [1, 2], "real": [1.5, 1.5]})
    assert broken(Order(("day", "time")), table).tolist() == [False, True]
    assert broken(Order(("int", "real")), table).tolist() == [False, True]


def test_rules_are_found_with_their_support() -> None:
    table = clinic()
    total = pa.array(table["weight"].to_numpy() + table["height in cm"].to_numpy())
    table = table.append_column("total", total).append_column(
        "noise", pa.array(np.arange(1500) % 7)
    )
    found = mine(table, infer(table), None)
    entries = [each.entry for each in found]
    assert {"order": ["dbp", "sbp"]} in entries
    assert {"order": ["admitted", "discharged"]} in entries
    assert {"together": ["ward", "building"]} in entries
    assert {"if": "sex=M", "then": "pregnant=no"} in entries
    assert {"if": "smoker=no", "then": "packs=null"} in entries
    assert {"column": "total", "formula": "`height in cm` + weight"} in entries
    assert len(entries) == 6
    smokers = sum(each == "no" for each in table["smoker"].to_pylist())
    support = {each.entry.get("if"): each.support for each in found}
    assert support["smoker=no"] == smokers


def test_what_holds_by_chance_or_by_range_is_not_told() -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(100 * i, 1, 500) for i in range(4)}
    levels = {f"c{i}": rng.choice(["u", "v", "w"], 500) for i in range(4)}
    table = pa.table(columns | levels)
    assert mine(table, infer(table), None) == []


def test_rare_levels_are_not_told() -> None:
    table = clinic()
    secret = np.array(["common", "usual"])[np.arange(1500) % 2].astype(object)
    secret[:5] = "SECRET"
    table = table.append_column("code", pa.array(secret.tolist()))
    assert "SECRET" not in json.dumps([each.entry for each in mine(table, infer(table), None)])


def test_the_command_line_suggests_checks_and_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, own, found = tmp_path / "t.parquet", tmp_path / "own.toml", tmp_path / "r.toml"
    model, drawn = tmp_path / "m.synthehr", tmp_path / "s.parquet"
    pq.write_table(clinic(), table)
    own.write_text(FILE)
    assert run(capsys, "rules", "suggest", table, "-o", found).code == 0
    assert Rules.read(found).mined
    done = run(capsys, "rules", "check", table, found, "--json")
    assert done.code == 0
    assert json.loads(done.out)["broken"].pop("ward with building") is None
    assert {*json.loads(done.out)["broken"].values()} == {0, None}
    quick = ("--set", "train.steps=20", "--seed", 1)
    done = run(capsys, "fit", table, "-o", model, *quick, "--rules", own)
    assert done.code == 0, done.err
    assert "break the rule 'height in cm=140:200'" in done.err
    assert "8 rules kept" in run(capsys, "sample", model, "-n", 300, "-o", drawn).err
    assert run(capsys, "rules", "check", drawn, own).code == 0
    assert run(capsys, "rules", "check", table, own).code == 1


def test_schema_and_rules_go_together(tmp_path: Path) -> None:
    table = clinic(300)
    synthesizer = Synthesizer(seed=1, settings=QUICK).fit(table, infer(table), rules=rules())
    assert isinstance(synthesizer.schema, Schema)
    assert "bmi" in synthesizer.schema.names
    assert not any_broken(rules(FILE), pa.concat_tables(synthesizer.sample_batches(50))).any()

"""Ask for the patients you need: levels, ranges, sets and missing values.

    python examples/02_conditions.py

The default model draws conditioned records directly, so a rare condition costs no more than a
common one. The simulator's truth is known, so each answer stands beside what it should be.
"""

from __future__ import annotations

import pyarrow as pa

from synthehr import Synthesizer
from synthehr.demo import simulate, true_shares


def main() -> None:
    synthesizer = Synthesizer(seed=1).fit(simulate(4000, seed=0), patient="patient_id")

    # A text, as on the command line.
    women = synthesizer.sample(2000, given="sex=F, age=60:80", seed=2).to_pandas()
    truth = true_shares("smoker", {"sex": "F", "age": (60, 80)})
    print("never smoked, women of 60 to 80:", (women.smoker == "never").mean())
    print("                      the truth:", truth["never"])

    # A mapping: a tuple is a range, a list is a set, None is a missing value.
    given = {"sepsis": True, "site": ["north", "hill"], "hba1c": None}
    septic = synthesizer.sample(2000, given=given, seed=3).to_pandas()
    print("sites:", sorted(septic.site.unique()), "hba1c known:", int(septic.hba1c.notna().sum()))
    print("died, of sepsis:", septic.died.mean())
    print("      the truth:", true_shares("died", {"sepsis": True})[True])

    # A table of partial records: each is continued, null cells are drawn.
    partial = pa.table({"sex": ["M", "F", None], "age": pa.array([25, 70, 90], pa.int32())})
    print(synthesizer.sample(given=partial, seed=4).to_pandas()[["sex", "age", "smoker", "bmi"]])


if __name__ == "__main__":
    main()

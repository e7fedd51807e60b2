"""Fit a table, sample synthetic patients, keep the model, and see how good they are.

python examples/01_fit_sample.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from synthehr import Synthesizer, evaluate, load
from synthehr.demo import simulate


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Any pandas, polars or pyarrow table will do, or the path of a Parquet or CSV file. Here: a
    # simulated hospital, in which nobody ever lived. The last third is never shown to the model.
    hospital = simulate(3000, seed=0)
    cohort, held_out = hospital.slice(0, 2000), hospital.slice(2000)

    # The patient column is never modelled: it says which records belong together, so that no
    # patient is both learned from and held out.
    synthesizer = Synthesizer(seed=1).fit(cohort, patient="patient_id")
    synthetic = synthesizer.sample(2000, seed=2)
    print(synthetic.slice(0, 5).to_pandas())

    # One file holds weights, encoder, schema and run record, and no code.
    synthesizer.save(folder / "cohort.synthehr", force=True)
    again = load(folder / "cohort.synthehr").sample(2000, seed=2)
    print("same seed, same patients:", again.equals(synthetic.to_pandas()))

    report = evaluate(cohort, synthetic, holdout=held_out, target="died", patient="patient_id")
    for metric in report.metrics:
        real = "" if metric.ceiling is None else f"real records {metric.ceiling:.3f}"
        print(f"{metric.section:12} {metric.name:24} {metric.value:8.3f}  {real}")
    report.to_html(folder / "report.html")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example"))

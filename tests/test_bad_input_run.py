"""What goes wrong around a run: rows of the table in research/privacy.md §5.3.

Damaged model files (row 68) are in test_artifact.py, seeds (72) in test_synthesizer.py,
conditions (60) in test_condition.py; what reading refuses is in test_bad_input_reading.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from commands import refused, run
from fitted import cohort, fitted
from marginals import Marginals

from synthehr import Synthesizer, evaluate
from synthehr.errors import ConfigError, InputError
from synthehr.io.lock import locked

HERE = Path(__file__).resolve().parent
QUICK = ("--set", "train.steps=20", "--set", "train.batch_size=128")
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"}

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pq.write_table(cohort(), "t.parquet")
    return Path("t.parquet")


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize("n", [1, 2, 9, 10])
def test_row_3_too_few_records(n: int, capsys: Capture) -> None:
    pq.write_table(cohort().slice(0, n), "few.parquet")
    refused(run(capsys, "fit", "few.parquet", "--patient", "patient_id"))
    assert names() == ["few.parquet", "t.parquet"]


@pytest.mark.parametrize("n", [25, 60])
def test_row_3_few_records_work_with_a_warning(n: int, capsys: Capture) -> None:
    pq.write_table(cohort().slice(0, n), "few.parquet")
    done = run(capsys, "fit", "few.parquet", "--patient", "patient_id", *QUICK)
    assert done.code == 0, done.err
    assert "warning: " in done.err
    assert run(capsys, "sample", "few.synthehr").code == 0
    assert pq.read_table("synthetic.parquet").num_rows == n


def test_row_4_one_column() -> None:
    drawn = Synthesizer(Marginals, seed=1).fit(cohort().select(["age"])).sample(20)
    assert drawn.column_names == ["age"]


def test_row_5_wide_tables_run() -> None:
    rng = np.random.default_rng(0)
    wide = pa.table({f"c{place}": rng.normal(size=100) for place in range(300)})
    prepared = Synthesizer(Marginals, seed=1).prepare(wide)
    assert prepared.plan()["modelled_columns"] == 300


@pytest.mark.slow
def test_row_5_what_does_not_fit_into_memory_is_refused_before_training() -> None:
    done = limited("synthesizer.prepare(table)", 64 * 2**20)
    assert "GiB more memory" in done


@pytest.mark.parametrize("what", ["t.pkl", "t.pt", "t.joblib", "t.parquet"])
def test_row_13_a_pickle_is_neither_data_nor_model(what: str, capsys: Capture) -> None:
    import pickle

    Path(what).write_bytes(pickle.dumps(list(range(1000))))
    assert "unsafe format" in refused(run(capsys, "fit", what, "-o", "m.synthehr"))
    assert "pickle" in refused(run(capsys, "sample", what))


def test_row_60_an_unseen_level_lists_the_learned_ones(capsys: Capture) -> None:
    run(capsys, "fit", "t.parquet", "-o", "m.synthehr", "--patient", "patient_id", *QUICK)
    done = run(capsys, "sample", "m.synthehr", "--given", "site=atlantis")
    assert "not learned" in refused(done)
    assert "north" in done.err and "atlantis" not in done.err
    assert "synthetic.parquet" not in names()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_row_63_a_gpu_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="cuda"):
        Synthesizer(Marginals, seed=1, device="cuda").fit(cohort())


@pytest.mark.slow
def test_row_63_the_memory_ends_while_training() -> None:
    # The limit comes after the check, as when another program takes the memory meanwhile.
    done = limited("synthesizer.train(prepared)", 64 * 2**20)
    assert "memory" in done and "GiB" not in done


def limited(last: str, left: int) -> str:
    """Run a large fit in a process of its own that may take only so many bytes at the end."""
    code = (
        "import resource, sys\n"
        "from synthehr import Synthesizer\n"
        "from synthehr.demo import simulate\n"
        "from synthehr.errors import TrainingError\n"
        "settings = {'train': {'steps': 5, 'batch_size': 20000}}\n"
        "synthesizer = Synthesizer(seed=1, settings=settings)\n"
        "table = simulate(20000, 0)\n"
        "prepared = synthesizer.prepare(table)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + {left}, used + {left}))\n"
        f"try: {last}\n"
        "except TrainingError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_row_64_a_full_disk_leaves_the_old_file(capsys: Capture) -> None:
    fitted().save("m.synthehr")
    before = Path("m.synthehr").read_bytes()
    code = (
        "import resource, sys\n"
        "from fitted import fitted\n"
        "from synthehr.errors import SynthehrError\n"
        "synthesizer = fitted()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "for path in ('m.synthehr', 'new.synthehr'):\n"
        "    try: synthesizer.save(path, force=True)\n"
        "    except SynthehrError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    assert done.stdout.count("could not be written") == 2
    assert Path("m.synthehr").read_bytes() == before
    assert names() == ["m.synthehr", "t.parquet"]


def test_row_64_a_sample_that_fails_leaves_nothing() -> None:
    fitted().save("m.synthehr")
    code = (
        "import resource\n"
        "from marginals import Marginals\n"
        "from synthehr import load\n"
        "from synthehr.errors import SynthehrError\n"
        "from synthehr.io import write_table\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))\n"
        "batches = load('m.synthehr', model=Marginals).sample_batches(20000, seed=1)\n"
        "try: write_table(batches, 'out.csv')\n"
        "except SynthehrError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    assert "could not be written" in done.stdout
    assert names() == ["m.synthehr", "t.parquet"]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "synthehr", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_row_65_an_interrupted_fit_ends_with_130_and_writes_no_model(how: signal.Signals) -> None:
    fit = start("fit", "t.parquet", "--set", "train.steps=1000000", "--set", "train.patience=0")
    wait_for(Path("t.synthehr.lock"), fit)
    time.sleep(0.5)
    fit.send_signal(how)
    said = fit.communicate(timeout=60)[1]
    assert fit.returncode == 130
    assert "Traceback" not in said
    assert "interrupted" in said and "t.synthehr was not written" in said
    assert set(names()) <= {"t.parquet", "t.synthehr.checkpoint"}


@pytest.mark.slow
def test_row_65_killed_and_resumed_it_comes_to_the_same_file(capsys: Capture) -> None:
    steps = ("--set", "train.steps=400", "--set", "train.patience=0")
    common = ("t.parquet", "--patient", "patient_id", *steps)
    code = (
        "from pathlib import Path\n"
        "from synthehr import Synthesizer\n"
        "settings = {'train': {'steps': 400, 'patience': 0}}\n"
        "synthesizer = Synthesizer(seed=1, settings=settings)\n"
        "prepared = synthesizer.prepare('t.parquet', patient='patient_id')\n"
        "place = Path('t.synthehr.checkpoint')\n"
        "synthesizer.train(prepared, checkpoint=place, checkpoint_every=0.0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT)
    end = time.monotonic() + 120
    while not Path("t.synthehr.checkpoint").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert Path("t.synthehr.checkpoint").exists()
    done = run(capsys, "fit", *common, "--resume")
    assert done.code == 0, done.err
    assert "t.synthehr.checkpoint" not in names()
    done = run(capsys, "fit", *common, "--seed", "1", "-o", "whole.synthehr")
    assert done.code == 0, done.err
    assert Path("t.synthehr").read_bytes() == Path("whole.synthehr").read_bytes()


def test_row_65_a_checkpoint_of_another_run_is_refused(capsys: Capture) -> None:
    synthesizer = Synthesizer(seed=1, settings={"train": {"steps": 3}})
    prepared = synthesizer.prepare("t.parquet", patient="patient_id")
    place = Path("t.synthehr.checkpoint")
    synthesizer.train(prepared, checkpoint=place, checkpoint_every=0.0)
    refused(run(capsys, "fit", "t.parquet", "--seed", 2, "--set", "train.steps=3", "--resume"))
    assert "t.synthehr" not in names()


def test_row_66_a_second_writer_is_refused(capsys: Capture) -> None:
    code = (
        "import sys, time; from pathlib import Path; from synthehr.io.lock import locked\n"
        "with locked(Path('t.synthehr')): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert "another process" in refused(run(capsys, "fit", "t.parquet", *QUICK, "-q"))
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert run(capsys, "fit", "t.parquet", *QUICK, "-q").code == 0
    assert names() == ["t.parquet", "t.synthehr"]


def test_row_66_the_lock_is_given_back_after_an_error() -> None:
    with pytest.raises(ValueError), locked(Path("x")):
        raise ValueError
    with locked(Path("x")):
        assert names() == ["t.parquet", "x.lock"]
    assert names() == ["t.parquet"]


def test_row_67_nothing_is_overwritten_without_force(capsys: Capture) -> None:
    for name in ("t.synthehr", "synthetic.parquet", "report.html"):
        Path(name).write_text("old")
    fitted().save("m.synthehr")
    for command in (
        ("fit", "t.parquet", *QUICK),
        ("sample", "m.synthehr"),
        ("report", "t.parquet", "t.parquet"),
    ):
        assert "exists already" in refused(run(capsys, *command))
    assert {Path(n).read_text() for n in ("t.synthehr", "synthetic.parquet", "report.html")} == {
        "old"
    }


def test_row_67_links_are_not_followed(capsys: Capture) -> None:
    Path("precious").write_text("old")
    Path("m.synthehr").symlink_to("precious")
    done = run(capsys, "fit", "t.parquet", "-o", "m.synthehr", "--force", *QUICK)
    assert "link" in refused(done)
    assert Path("precious").read_text() == "old"


def test_row_67_files_are_for_their_owner_alone(capsys: Capture) -> None:
    run(capsys, "fit", "t.parquet", *QUICK, "-q")
    assert Path("t.synthehr").stat().st_mode & 0o777 == 0o600


def test_row_70_standard_input_is_not_a_table(capsys: Capture) -> None:
    refused(run(capsys, "fit", "-", "-o", "m.synthehr"))
    refused(run(capsys, "fit", "/dev/stdin", "-o", "m.synthehr"))


@pytest.mark.slow
def test_row_71_no_home_plain_locale_long_path(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(4):
        deep = deep / ("folder_with_a_long_name_" * 4)
        deep.mkdir()
    assert len(str(deep)) > 260
    pq.write_table(cohort().rename_columns(
        ["größe" if name == "bmi" else name for name in cohort().column_names]
    ), deep / "tä.parquet")  # fmt: skip
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent), "LANG": "C", "LC_ALL": "C"}
    bare |= {"HOME": "/nonexistent", "PYTHONIOENCODING": "", "OMP_NUM_THREADS": "1"}
    for arguments in (
        ("fit", "tä.parquet", "-o", "m.synthehr", "--seed", "1", *QUICK),
        ("sample", "m.synthehr", "-n", "5", "-o", "-"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "synthehr", *arguments],
            env=bare,
            cwd=deep,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert "größe" in done.stdout.decode("utf-8")


def test_row_71_a_folder_that_cannot_be_written(capsys: Capture) -> None:
    if os.geteuid() == 0:
        pytest.skip("the administrator may write everywhere")
    Path("closed").mkdir(mode=0o500)
    refused(run(capsys, "fit", "t.parquet", "-o", "closed/m.synthehr", *QUICK))


def test_row_73_a_table_is_not_its_own_twin() -> None:
    with pytest.raises(InputError):
        evaluate(cohort(), cohort())
    half = cohort().slice(0, 300)
    with pytest.raises(InputError):
        evaluate(cohort(), fitted().sample(300, seed=1), holdout=half)


def test_row_74_other_columns_are_refused_and_another_order_is_not() -> None:
    drawn = fitted().sample(200, seed=1)
    with pytest.raises(InputError):
        evaluate(cohort(), drawn.drop(["age"]))


def test_no_cell_reaches_an_error_of_a_library(capsys: Capture) -> None:
    secret = "Ottilie Geheim"
    Path("t.csv").write_text("a,b\n" + "".join(f"{i},{i}\n" for i in range(50)) + f"{secret},1\n")
    done = run(capsys, "fit", "t.csv", *QUICK)
    assert secret not in done.err + done.out
    pq.write_table(cohort(), "u.parquet")
    schema = '{"format": "synthehr schema", "version": 1, "columns": [{"name": "site", '
    Path("s.json").write_text(schema + '"kind": "numeric", "arrow_type": "double"}]}')
    done = run(capsys, "fit", "u.parquet", "--schema", "s.json", *QUICK)
    refused(done)
    assert "north" not in done.err

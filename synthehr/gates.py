"""Evaluating a synthetic table, and the limits it has to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synthehr.errors import ConfigError, GateError, InputError
from synthehr.schema.column import shown

if TYPE_CHECKING:
    import pyarrow as pa

    from synthehr.evaluation.images.report import ImageEvaluation
    from synthehr.evaluation.longitudinal.report import VisitEvaluation
    from synthehr.evaluation.report import Report
    from synthehr.evaluation.task import Informed
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.schema.table import Schema

DEFAULT_LIMITS = {
    "detection_auroc": 0.95,
    "null_share_error": 0.05,
    "shape": 0.9,
    "missing": 0.05,
    "value": 0.2,
    "level": 0.2,
    "coverage": 0.2,
}
"""Limits of a release, by figure of the report; `--fail-under` changes them.

The first three are of records, the next of visits, the last of images, and no report has those
of another.
"""

COMPARED = (
    "exact_copies",
    "near_copies",
    "nearer_to_training",
    "copied_runs",
    "memorised",
    "patients_memorised",
)
"""Privacy figures that must not lie surely above what real records score."""

TOLD_APART = 0.53
"""AUROC of membership attacks up to which a table passes even if no null run reaches it."""


def limits_of(pairs: Iterable[str]) -> dict[str, float]:
    """Read ``name=value`` texts.

    Raises
    ------
    ConfigError
        If one is not a name, an equals sign and a number.
    """
    limits = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            limits[name.strip()] = float(text)
        except ValueError:
            raise ConfigError(
                "--fail-under takes name=value", hint="for example --fail-under shape=0.95"
            ) from None
    return limits


def check_gates(
    report: Report | VisitEvaluation | ImageEvaluation,
    limits: Mapping[str, float],
) -> None:
    """Refuse a report with a figure on the wrong side of its limit.

    Raises
    ------
    GateError
        If there is one.
    """
    failures = report.failures(limits)
    if failures:
        raise GateError(
            "; ".join(failures), hint="read the report; train longer, or give more records"
        )


def check_claim(record: Mapping[str, Any], asked: Privacy) -> dict[str, Any]:
    """Give the ledger of a private fit, if it keeps what was asked.

    It is all that a release of a private fit hangs on: figures computed on records would
    be queries on them that nobody charged for.

    Parameters
    ----------
    record : mapping
        The run record of the fit.
    asked : Privacy
        What was asked of it.

    Raises
    ------
    ConfigError
        If the entries do not add up.
    GateError
        If more was spent than was asked for, or nothing is claimed.
    """
    from synthehr.privacy.stated import stated

    ledger = stated(record)
    if ledger is None:
        raise GateError("no records were released: the fit has no ledger", hint="report this")
    delta = ledger["delta"] if asked.delta is None else asked.delta
    if not (ledger["epsilon"] <= asked.epsilon and ledger["delta"] <= delta):
        raise GateError(
            f"no records were released: ({ledger['epsilon']:g}, {ledger['delta']:g}) was spent, "
            f"and ({asked.epsilon:g}, {delta:g}) was asked for",
            hint="ask for what was spent, or fit again",
        )
    return ledger


def release_failures(
    report: Report | VisitEvaluation | ImageEvaluation, limits: Mapping[str, float]
) -> tuple[str, ...]:
    """Say what keeps a table from being released.

    Parameters
    ----------
    report : Report, VisitEvaluation or ImageEvaluation
        The report on it.
    limits : mapping of str to float
        What the user set with `--fail-under`; it goes before the defaults.

    Returns
    -------
    tuple of str
        One sentence for each gate that fails: `DEFAULT_LIMITS`, the user's limits, and of
        the figures that the user did not mention those in `COMPARED` whose whole interval lies
        above that of as few held-out records, and attacks that surely succeed. A gate does not
        ask for the upper end of an interval: a small table could never pass.
    """
    from synthehr.evaluation.metric import wilson

    known = {metric.name: metric for metric in report.metrics}
    defaults = {name: limit for name, limit in DEFAULT_LIMITS.items() if name in known}
    sentences = list(report.failures(defaults | dict(limits)))
    held_out = report.held_out
    for name in COMPARED:
        metric = known.get(name)
        if name in limits or metric is None or metric.low is None or metric.ceiling is None:
            continue
        highest = wilson(metric.ceiling * held_out, held_out).high
        if metric.low > highest:
            sentences.append(
                f"{name}: its whole interval, from {metric.low:.3f} on, is above what "
                f"{held_out} real records may score ({highest:.3f})"
            )
    return (*sentences, *_successes(report, limits))


def _successes(
    report: Report | VisitEvaluation | ImageEvaluation, limits: Mapping[str, float]
) -> Iterator[str]:
    """Name the attacks that surely succeed."""
    from synthehr.evaluation.verdicts import LINE, over_the_line, told_apart

    for result in report.membership:
        name = "membership_auc" if result.target == "random" else "isolated_auc"
        if result.attack != "ensemble" or name in limits:
            continue
        if told_apart(result) and result.auc.low > TOLD_APART:
            yield (
                f"{name}: its whole interval, from {result.auc.low:.3f} on, is above what "
                f"held-out patients among themselves score ({result.auc_null.high:.3f})"
            )
    for metric in report.metrics:
        if metric.name in limits or metric.low is None:
            continue
        if metric.name == "membership_by_model" and metric.low > TOLD_APART:
            yield f"{metric.name}: its whole interval, from {metric.low:.3f} on, is above chance"
        if over_the_line(metric):
            yield f"{metric.name}: its whole interval, from {metric.low:.3f} on, is above {LINE}"


def assess(
    real: Any,
    synthetic: Any,
    *,
    model: Path | None = None,
    holdout: Any = None,
    target: str | None = None,
    schema: Path | Schema | None = None,
    patient: str | None = None,
    seed: int | None = None,
    audit: Literal["quick", "deep"] = "quick",
    groups: Sequence[str] | None = None,
    rules: Rules | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Report:
    """Evaluate a synthetic table; a model file says which real records were held out.

    Parameters
    ----------
    real, synthetic : path or table
        The two tables.
    model : Path, optional
        The model file that `synthetic` was drawn from and `real` was fitted by.
    holdout : path or table, optional
        Real records that were not fitted, where no model file says which they are: without
        one, or with one that is differentially private.
    target : str, optional
        The column to predict.
    schema : path or Schema, optional
        What the columns are; else from the model file, else inferred.
    patient : str, optional
        The column that names the patient.
    seed : int, optional
        Seed of the subsamples; 0 by default.
    audit : {"quick", "deep"}
        "deep" trains shadow models like that of the model file, some times as long as its fit.
    groups : sequence of str, optional
        Columns whose levels, or thirds, are groups of patients.
    rules : Rules, optional
        Rules whose violations are counted; else those of the model file.
    tell : callable
        Is told how far the work is.

    Raises
    ------
    ConfigError
        If a model file and the given records both say who was held out, a privacy ledger does
        not add up, or shadow models cannot be trained.
    SynthehrError
        If a table cannot be read or they do not belong together.
    """
    from synthehr.artifact import read_metadata
    from synthehr.evaluation.evaluate import evaluate
    from synthehr.io import read
    from synthehr.modes.constraints import Rules
    from synthehr.schema.table import Schema
    from synthehr.seeds import settled
    from synthehr.split import as_fitted

    chosen = 0 if seed is None else settled(seed)
    record: dict[str, Any] | None = None
    informed: dict[str, Informed] = {}
    known = Schema.read(schema) if isinstance(schema, Path) else schema
    if model is not None:
        content = read_metadata(model).content
        record = _checked(content["record"])
        if holdout is not None and record.get("privacy") is None:
            raise ConfigError(
                "--model and --holdout both say which records were held out", hint="give one"
            )
        known = known or Schema.from_json(content["schema"])
        if rules is None and record.get("rules"):
            rules = Rules.from_json(record["rules"])
        real, aside = as_fitted(read(real).table, known.patient, record)
        holdout = read(holdout).table if holdout is not None else aside
        if holdout.num_rows:
            informed = _informed(model, synthetic, real, holdout, chosen, audit, tell)
        else:
            holdout = None
    if audit == "deep" and not informed:
        raise ConfigError(
            "--audit deep needs a model file of synthehr's own models, fitted with held-out "
            "patients",
            hint="give it with --model, or use --audit quick",
        )
    return evaluate(
        real,
        synthetic,
        holdout=holdout,
        schema=known,
        target=target,
        patient=patient,
        seed=chosen,
        record=record,
        informed=informed,
        groups=groups,
        rules=rules,
    )


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """Derive what a private run record claims anew, where accountants are installed."""
    from synthehr.privacy.accountant import is_installed
    from synthehr.privacy.stated import stated

    return {**record, "privacy": stated(record)} if is_installed() else record


def _informed(
    model: Path,
    synthetic: Any,
    real: pa.Table,
    holdout: pa.Table,
    seed: int,
    audit: Literal["quick", "deep"],
    tell: Callable[[str], None],
) -> dict[str, Informed]:
    """Make the attacks that the model file allows; none with a model that is not ours."""
    from synthehr.artifact import load, read_metadata
    from synthehr.io import read
    from synthehr.models import MODELS
    from synthehr.run.informed import loss_attack

    if read_metadata(model).content["model"]["name"] not in MODELS:
        return {}
    artifact = load(model)
    for table in (real, holdout):
        lacking = [name for name in artifact.encoder.modelled if name not in table.column_names]
        if lacking:
            raise InputError(
                f"a real table lacks column {shown(lacking[0])}, which the model was fitted on",
                hint="give the tables with all of their columns",
            )
    attacks = loss_attack(artifact, real, holdout, read(synthetic).table)
    if audit == "deep":
        from synthehr.run.shadows import shadow_attacks

        attacks |= shadow_attacks(artifact, synthetic, real, holdout, seed=seed, tell=tell)
    return attacks

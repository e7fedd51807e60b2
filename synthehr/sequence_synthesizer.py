"""`SequenceSynthesizer`: fit visits of patients; sample, continue and fill them; save and load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, final

from synthehr.errors import SynthehrError

if TYPE_CHECKING:
    import pyarrow as pa

    from synthehr.artifact import SequenceArtifact
    from synthehr.io import Shape
    from synthehr.io.visits import Layout
    from synthehr.models.sequence_base import SequenceModel
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.run.rebalancing import Rebalanced
    from synthehr.run.visits.preparation import SequencePreparation
    from synthehr.schema.table import Schema
    from synthehr.train import Callback, History


@final
class SequenceSynthesizer:
    """Learns patients with their visits and draws synthetic ones.

    Parameters
    ----------
    model : str or type of SequenceModel
        "auto" ("lstm"), a name in `synthehr.models.SEQUENCE_MODELS`, or a class of your own.
    seed : int, optional
        Equal seeds give equal fits. Without one it is fresh, and kept in the run record.
    settings : mapping, optional
        Settings that differ from the defaults, in the groups "model", "train" and "encode":
        ``{"model": {"cell": "gru"}}``.
    device : str, optional
        Where to train, such as "cpu" or "cuda:1"; by default a CUDA device if there is one.

    Examples
    --------
    >>> from synthehr import SequenceSynthesizer
    >>> from synthehr.demo import simulate_visits
    >>> quick = {"train": {"steps": 5, "evaluations": 1}}
    >>> synthesizer = SequenceSynthesizer(seed=1, settings=quick)
    >>> synthesizer = synthesizer.fit(simulate_visits(100, 0), patient="patient_id", time="day")
    >>> len(synthesizer.sample(3, seed=2)["patient_id"].unique())
    3
    """

    def __init__(
        self,
        model: str | type[SequenceModel] = "auto",
        *,
        seed: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        device: str | None = None,
    ) -> None:
        self.model = model
        self.seed = seed
        self.settings = settings
        self.device = device
        self.last_seed: int | None = None
        self.history: History | None = None
        self._artifact: SequenceArtifact | None = None
        self._shape: Shape = "pandas"

    @property
    def artifact(self) -> SequenceArtifact:
        """Model, encoder, schema and run record of the fit."""
        if self._artifact is None:
            raise SynthehrError("nothing has been fitted yet", hint="call fit or load first")
        return self._artifact

    @property
    def schema(self) -> Schema:
        """What the columns of the fitted visits are."""
        return self.artifact.schema

    @property
    def record(self) -> dict[str, Any]:
        """The run record: versions, seed, numbers of patients, visits and steps, scores."""
        return self.artifact.record

    def prepare(
        self,
        data: Any,
        schema: Schema | Path | str | None = None,
        *,
        patient: str | None = None,
        time: str | None = None,
        format: Layout | None = None,
        static: Sequence[str] | None = None,
        holdout: float | None = None,
        max_minutes: float | None = None,
        on_text: Literal["refuse", "drop"] = "refuse",
        pii: Literal["drop", "keep", "surrogate"] | None = None,
        privacy: Privacy | None = None,
        rules: Rules | Path | str | None = None,
    ) -> SequencePreparation:
        """Do everything that `fit` does before the first step; parameters as there."""
        from synthehr.io import shape_of
        from synthehr.io.visits import VisitTable, read_visits
        from synthehr.modes.constraints import Rules
        from synthehr.run.choices import Options, checked
        from synthehr.run.visits.preparation import prepare_sequences
        from synthehr.run.visits.private import check_static, prepare_private_visits
        from synthehr.schema.table import Schema
        from synthehr.seeds import settled

        options = Options(
            model=self.model,
            seed=settled(self.seed),
            settings=checked(self.settings or {}),
            holdout=holdout,
            max_minutes=max_minutes,
            on_text=on_text,
            pii=pii,
            privacy=privacy,
            rules=Rules.of(rules),
        )
        if not isinstance(data, VisitTable):
            self._shape = shape_of(data[-1] if isinstance(data, list | tuple) else data)
            data = read_visits(data, patient=patient, time=time, format=format, static=static)
        wanted = Schema.read(schema) if isinstance(schema, str | Path) else schema
        if privacy is None:
            return prepare_sequences(data, wanted, options)
        check_static(data, static)
        return prepare_private_visits(data, wanted, options)

    def fit(
        self,
        data: Any,
        schema: Schema | Path | str | None = None,
        *,
        patient: str | None = None,
        time: str | None = None,
        format: Layout | None = None,
        static: Sequence[str] | None = None,
        holdout: float | None = None,
        max_minutes: float | None = None,
        on_text: Literal["refuse", "drop"] = "refuse",
        pii: Literal["drop", "keep", "surrogate"] | None = None,
        privacy: Privacy | None = None,
        rules: Rules | Path | str | None = None,
    ) -> Self:
        """Learn visits, and give back the synthesizer itself.

        Parameters
        ----------
        data : path or table, two of them, a folder, or a VisitTable
            One row a visit; the table of patients and that of visits; or a folder in the
            layout that `format` names. See `synthehr.io.visits.read_visits`.
        schema : Schema or path, optional
            What the columns are; inferred by default.
        patient, time : str, optional
            Columns that say whose visit it is and when it was; by default found by names and
            types.
        format : Layout, optional
            Such as "meds" or "omop".
        static : sequence of str, optional
            Columns that a patient has once; by default those that never change within one.
        holdout : float, optional
            Share of the patients set aside to choose the best weights by; by default a tenth.
        max_minutes : float, optional
            Limit by the clock; equal seeds then no longer give equal fits.
        on_text, pii : str
            What to do with columns of free text, and with likely direct identifiers.
        privacy : Privacy, optional
            Makes the fit differentially private, by patient; `schema` and, of one long table,
            `static` are needed then.
        rules : Rules or path, optional
            Rules that sampled visits keep.

        Raises
        ------
        SynthehrError
            If the visits, the schema or a setting cannot be used, or training fails.
        """
        prepared = self.prepare(
            data,
            schema,
            patient=patient,
            time=time,
            format=format,
            static=static,
            holdout=holdout,
            max_minutes=max_minutes,
            on_text=on_text,
            pii=pii,
            privacy=privacy,
            rules=rules,
        )
        return self.train(prepared)

    def train(
        self,
        prepared: SequencePreparation,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: Path | None = None,
        checkpoint_every: float = 30.0,
        resume: bool = False,
    ) -> Self:
        """Do the rest of `fit` after `prepare`; parameters as of `Synthesizer.train`."""
        from synthehr.run.choices import present
        from synthehr.run.visits.fitting import run_sequences
        from synthehr.train import find_runtime

        self._artifact, self.history = run_sequences(
            prepared,
            find_runtime(present(self.device)),
            callbacks=callbacks,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
        )
        return self

    def sample(self, n: int | None = None, given: Any = None, seed: int | None = None) -> Any:
        """Draw synthetic patients with all their visits.

        Parameters
        ----------
        n : int, optional
            How many patients; by default as many as were given to `fit`.
        given : str, mapping or table, optional
            Conditions on columns that patients have once, as of `Synthesizer.sample`.
        seed : int, optional
            Equal seeds give equal patients; fresh by default, and kept in `last_seed`.

        Returns
        -------
        table
            One row a visit, of the type that `fit` was given; pandas after a path or `load`.
        """
        import pyarrow as pa

        from synthehr.io import as_shape
        from synthehr.io.visits import folded

        visits = pa.concat_tables(self.sample_batches(n, given, seed))
        visits = folded(visits, self.artifact.record["layout_details"])
        return as_shape(visits, self._shape, self.schema.pandas_types)

    def sample_batches(
        self, n: int | None = None, given: Any = None, seed: int | None = None
    ) -> Iterator[pa.Table]:
        """Draw synthetic patients block by block, in constant memory; parameters as `sample`.

        Patient i is the same whatever `n` is.
        """
        from synthehr.run.visits.drawing import asked_of_patients, draw_patients
        from synthehr.seeds import settled

        chosen = self.last_seed = settled(seed)
        return draw_patients(self.artifact, asked_of_patients(self.artifact, n, given), chosen)

    def forecast(self, data: Any, steps: int = 1, draws: int = 100, seed: int | None = None) -> Any:
        """Say what comes after given visits, see `synthehr.run.visits.forecasting.forecast`."""
        from synthehr.io import as_shape, shape_of
        from synthehr.run.visits.forecasting import forecast
        from synthehr.seeds import settled

        self.last_seed = settled(seed)
        shape = shape_of(data[-1] if isinstance(data, list | tuple) else data)
        found = forecast(self.artifact, data, steps, draws, self.last_seed)
        return as_shape(found, shape, self.schema.pandas_types)

    def log_prob(self, data: Any) -> Any:
        """Say how likely each patient's visits are, see `synthehr.run.visits.asking.log_prob`."""
        from synthehr.io import as_shape, shape_of
        from synthehr.run.visits.asking import log_prob

        shape = shape_of(data[-1] if isinstance(data, list | tuple) else data)
        return as_shape(log_prob(self.artifact, data), shape, self.schema.pandas_types)

    def impute(
        self,
        data: Any,
        draws: int = 1,
        *,
        columns: Sequence[str] | None = None,
        keep_null: Sequence[str] = (),
        seed: int | None = None,
    ) -> Any:
        """Fill the nulls of visits, see `synthehr.run.visits.imputing.imputed_visits`."""
        from synthehr.run.visits.imputing import imputed_visits
        from synthehr.seeds import settled

        self.last_seed = settled(seed)
        return imputed_visits(self.artifact, data, draws, columns, keep_null, self.last_seed)

    def rebalance(
        self,
        data: Any,
        target: str | Sequence[str],
        to: float | Mapping[str, float] = 0.5,
        *,
        allow_few: bool = False,
        seed: int | None = None,
    ) -> Rebalanced:
        """Add whole patients of rare classes, see `synthehr.run.visits.rebalancing`."""
        from synthehr.run.visits.rebalancing import rebalance_patients
        from synthehr.seeds import settled

        self.last_seed = settled(seed)
        return rebalance_patients(
            self.artifact, data, target, to, seed=self.last_seed, allow_few=allow_few
        )

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the model file, atomically; an existing file only with `force`."""
        from synthehr.artifact import save

        save(path, self.artifact, force=force)

    @classmethod
    def load(cls, path: Path | str, *, model: type[SequenceModel] | None = None) -> Self:
        """Read a model file of visits; no code in it is run.

        Parameters
        ----------
        path : path
            The file.
        model : type of SequenceModel, optional
            The class, for a model that is not one of synthehr's own.

        Raises
        ------
        ArtifactError
            If the file is no model file of visits, damaged, or newer than this version.
        """
        from synthehr.artifact import load_sequences

        artifact = load_sequences(path, model=model)
        loaded = cls(type(artifact.model), seed=artifact.record["seed"])
        loaded._artifact = artifact
        return loaded

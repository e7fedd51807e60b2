"""`Synthesizer`: fit a table, sample from it, save and load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, final

from synthehr.errors import SynthehrError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from synthehr.artifact import Artifact
    from synthehr.io import Shape
    from synthehr.models.base import Model
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.run.preparation import Preparation
    from synthehr.run.rebalancing import Rebalanced
    from synthehr.schema.table import Schema
    from synthehr.train import Callback, History


@final
class Synthesizer:
    """Learns a table of patients and draws synthetic ones.

    Parameters
    ----------
    model : str or type of Model
        "auto" (autoregression sized from rows and columns), a name in
        `synthehr.models.MODELS`, or a class of your own.
    seed : int, optional
        Equal seeds give equal fits. Without one it is fresh, and kept in the run record.
    settings : mapping, optional
        Settings that differ from the defaults, in the groups "model", "train", "encode"
        and "privacy": ``{"train": {"steps": 500}}``.
    device : str, optional
        Where to train, such as "cpu" or "cuda:1"; by default a CUDA device if there is one.

    Examples
    --------
    >>> from synthehr import Synthesizer
    >>> from synthehr.demo import simulate
    >>> synthesizer = Synthesizer(seed=1, settings={"train": {"steps": 20}})
    >>> synthesizer.fit(simulate(300, 0), patient="patient_id").sample(5, seed=2).num_rows
    5
    """

    def __init__(
        self,
        model: str | type[Model] = "auto",
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
        self._artifact: Artifact | None = None
        self._shape: Shape = "pandas"

    @property
    def artifact(self) -> Artifact:
        """Model, encoder, schema and run record of the fit."""
        if self._artifact is None:
            raise SynthehrError("nothing has been fitted yet", hint="call fit or load first")
        return self._artifact

    @property
    def schema(self) -> Schema:
        """What the columns of the fitted table are."""
        return self.artifact.schema

    @property
    def record(self) -> dict[str, Any]:
        """The run record: versions, seed, numbers of records and steps, held-out figures."""
        return self.artifact.record

    def prepare(
        self,
        data: Any,
        schema: Schema | Path | str | None = None,
        patient: str | None = None,
        *,
        holdout: float | None = None,
        max_minutes: float | None = None,
        on_text: Literal["refuse", "drop"] = "refuse",
        pii: Literal["drop", "keep", "surrogate"] | None = None,
        privacy: Privacy | None = None,
        rules: Rules | Path | str | None = None,
    ) -> Preparation:
        """Do everything that `fit` does before the first step; parameters as there."""
        from synthehr.io import Source, read, shape_of
        from synthehr.modes.constraints import Rules
        from synthehr.run.choices import Options, checked
        from synthehr.run.fitting import prepare
        from synthehr.schema.table import Schema
        from synthehr.seeds import settled

        options = Options(
            model=self.model,
            seed=settled(self.seed),
            settings=checked(self.settings or {}),
            patient=patient,
            holdout=holdout,
            max_minutes=max_minutes,
            on_text=on_text,
            pii=pii,
            privacy=privacy,
            rules=Rules.of(rules),
        )
        self._shape = shape_of(data)
        wanted = Schema.read(schema) if isinstance(schema, str | Path) else schema
        return prepare(data if isinstance(data, Source) else read(data), wanted, options)

    def fit(
        self,
        data: Any,
        schema: Schema | Path | str | None = None,
        patient: str | None = None,
        *,
        holdout: float | None = None,
        max_minutes: float | None = None,
        on_text: Literal["refuse", "drop"] = "refuse",
        pii: Literal["drop", "keep", "surrogate"] | None = None,
        privacy: Privacy | None = None,
        rules: Rules | Path | str | None = None,
    ) -> Self:
        """Learn a table, and give back the synthesizer itself.

        Parameters
        ----------
        data : path, or pandas, polars or pyarrow table
            The records.
        schema : Schema or path, optional
            What the columns are; inferred by default.
        patient : str, optional
            The column that names the patient; by default each record is a patient.
        holdout : float, optional
            Share of the patients set aside to choose the best weights by: a tenth, without privacy.
        max_minutes : float, optional
            Limit by the clock; equal seeds then no longer give equal fits.
        on_text, pii : str
            What to do with columns of free text, and with likely direct identifiers.
        privacy : Privacy, optional
            Makes the fit differentially private; needs a schema.
        rules : Rules or path, optional
            Rules that sampled records keep, see `synthehr.modes.constraints`.

        Raises
        ------
        SynthehrError
            If the table, the schema or a setting cannot be used, or training fails.
        """
        prepared = self.prepare(
            data,
            schema,
            patient,
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
        prepared: Preparation,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: Path | None = None,
        checkpoint_every: float = 30.0,
        resume: bool = False,
    ) -> Self:
        """Do the rest of `fit` after `prepare`.

        Parameters
        ----------
        prepared : Preparation
            What `prepare` returned; it is used up.
        callbacks : sequence of callables
            Called after every step, see `synthehr.train`.
        checkpoint, checkpoint_every : Path, optional, and float
            Where the state of the run is kept, and after how many seconds each time.
        resume : bool
            Whether to go on from there.
        """
        from synthehr.run.choices import present
        from synthehr.run.fitting import run
        from synthehr.train import find_runtime

        self._artifact, self.history = run(
            prepared,
            find_runtime(present(self.device)),
            callbacks=callbacks,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
        )
        return self

    def sample(self, n: int | None = None, given: Any = None, seed: int | None = None) -> Any:
        """Draw synthetic records.

        Parameters
        ----------
        n : int, optional
            How many; by default as many as were given to `fit`, or as `given` has rows.
        given : str, mapping, table or Parity, optional
            Conditions as in ``"sex=F, age=60:80, unit=a|b, diagnosis=null"``, the same as
            ``{"sex": "F", "age": (60, 80), "unit": ["a", "b"], "diagnosis": None}``; a table (or
            path) of partial records to continue, in which null is open; or `synthehr.Parity`.
        seed : int, optional
            Equal seeds give equal records; fresh by default, and kept in `last_seed`.

        Returns
        -------
        table
            Of the type that `fit` was given; a pandas DataFrame after a path or `load`.

        Raises
        ------
        ConditionError
            If a condition cannot be read or can never hold.
        """
        import pyarrow as pa

        from synthehr.io import as_shape

        records = pa.concat_tables(self.sample_batches(n, given, seed))
        return as_shape(records, self._shape, self.schema.pandas_types)

    def sample_batches(
        self, n: int | None = None, given: Any = None, seed: int | None = None
    ) -> Iterator[pa.Table]:
        """Draw synthetic records block by block, in constant memory; parameters as `sample`.

        Record i is the same whatever `n` is.
        """
        from synthehr.modes.given import wished
        from synthehr.run.drawing import draw
        from synthehr.seeds import settled

        chosen = self.last_seed = settled(seed)
        return draw(self.artifact, wished(self.artifact, n, given, chosen), chosen)

    def impute(
        self,
        data: Any,
        draws: int = 1,
        *,
        columns: Sequence[str] | None = None,
        keep_null: Sequence[str] = (),
        max_minutes: float | None = None,
        seed: int | None = None,
    ) -> Any:
        """Fill the nulls of a table, see `synthehr.run.imputing.imputed`; no other cell changes."""
        from synthehr.run.imputing import imputed
        from synthehr.seeds import settled

        self.last_seed = settled(seed)
        return imputed(self.artifact, data, draws, columns, keep_null, max_minutes, self.last_seed)

    def rebalance(
        self,
        data: Any,
        target: str | Sequence[str],
        to: float | Mapping[str, float] = 0.5,
        *,
        allow_few: bool = False,
        keep: float | None = None,
        seed: int | None = None,
    ) -> Rebalanced:
        """Add records of rare classes to a table, see `synthehr.run.rebalancing.rebalance`."""
        from synthehr.io import read
        from synthehr.run.rebalancing import rebalance
        from synthehr.seeds import settled

        table, chosen = read(data).table, settled(seed)
        self.last_seed = chosen
        return rebalance(
            self.artifact, table, target, to, seed=chosen, allow_few=allow_few, keep=keep
        )

    def predict_proba(self, data: Any, column: str) -> pd.DataFrame:
        """Say how likely each level of a column is given all others, a row for each record."""
        from synthehr.run.asking import predict_proba

        return predict_proba(self.artifact, data, column)

    def log_prob(self, data: Any) -> NDArray[np.float32]:
        """Logarithm of each record's chance, in nats, shape (N,); low for outliers."""
        from synthehr.run.asking import log_prob

        return log_prob(self.artifact, data)

    def embed(self, data: Any) -> NDArray[np.float32]:
        """Place records in the model's latent space, shape (N, latent); "vae" only."""
        from synthehr.run.asking import ask

        return ask(self.artifact, "embed", data)

    def reconstruction_error(self, data: Any) -> NDArray[np.float32]:
        """Score how badly the model rebuilds each record, in nats, shape (N,); "vae" only."""
        from synthehr.run.asking import ask

        return ask(self.artifact, "reconstruction_error", data)

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the model file, atomically; an existing file only with `force`."""
        from synthehr.artifact import save

        save(path, self.artifact, force=force)

    @classmethod
    def load(cls, path: Path | str, *, model: type[Model] | None = None) -> Synthesizer:
        """Read a model file; no code in it is run.

        Parameters
        ----------
        path : path
            The file.
        model : type of Model, optional
            The class, for a model that is not one of synthehr's own.

        Raises
        ------
        ArtifactError
            If the file is no model file, damaged, or newer than this version.
        """
        from synthehr.artifact import load

        artifact = load(path, model=model)
        loaded = cls(type(artifact.model), seed=artifact.record["seed"])
        loaded._artifact = artifact
        return loaded


load = Synthesizer.load

"""`ImageSynthesizer`: fit images; sample, repair, translate and score them; save and load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, final

from synthehr.errors import SynthehrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthehr.evaluation.metric import Metric
    from synthehr.io.images import ImageSource
    from synthehr.models.image_base import ImageModel
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.run.images.artifact import ImageArtifact
    from synthehr.run.images.drawing import DrawnImages
    from synthehr.run.images.latents import Compression
    from synthehr.run.images.preparation import ImagePreparation
    from synthehr.schema.table import Schema
    from synthehr.train import Callback, History


@final
class ImageSynthesizer:
    """Learns images and what is known of each, and draws synthetic ones.

    Parameters
    ----------
    model : str or type of ImageModel
        "auto" ("image-cgan" where something is known of the images, else "image-gan"), a name in
        `synthehr.models.IMAGE_MODELS`, or a class of your own.
    seed : int, optional
        Equal seeds give equal fits. Without one it is fresh, and kept in the run record.
    settings : mapping, optional
        Settings that differ from the defaults, in the groups "model", "train" and "encode":
        ``{"model": {"width": 48}, "encode": {"size": 64}}``.
    device : str, optional
        Where to train, such as "cpu" or "cuda:1"; by default a CUDA device if there is one.

    Examples
    --------
    >>> from synthehr import ImageSynthesizer
    >>> from synthehr.demo import simulate_scans
    >>> quick = {"train": {"steps": 5, "evaluations": 1}}
    >>> synthesizer = ImageSynthesizer(seed=1, settings=quick)
    >>> synthesizer = synthesizer.fit(simulate_scans(80, 0))
    >>> synthesizer.sample(3, seed=2).images.shape
    (3, 1, 32, 32)
    """

    def __init__(
        self,
        model: str | type[ImageModel] = "auto",
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
        self._artifact: ImageArtifact | None = None

    @property
    def artifact(self) -> ImageArtifact:
        """Model, encoder, schema of the columns, and run record of the fit."""
        if self._artifact is None:
            raise SynthehrError("nothing has been fitted yet", hint="call fit or load first")
        return self._artifact

    @property
    def schema(self) -> Schema:
        """What the columns beside the images are."""
        return self.artifact.schema

    @property
    def record(self) -> dict[str, Any]:
        """The run record: versions, seed, numbers of images and steps, scores."""
        return self.artifact.record

    def prepare(
        self,
        data: ImageSource | Path | str,
        schema: Schema | Path | str | None = None,
        *,
        labels: Path | str | None = None,
        patient: str | None = None,
        holdout: float | None = None,
        max_minutes: float | None = None,
        on_text: Literal["refuse", "drop"] = "refuse",
        pii: Literal["drop", "keep", "surrogate"] | None = None,
        privacy: Privacy | None = None,
        rules: Rules | Path | str | None = None,
    ) -> ImagePreparation:
        """Do everything that `fit` does before the first step; parameters as there.

        Rules are refused: images keep none.
        """
        from synthehr.modes.constraints import Rules
        from synthehr.run.choices import Options, checked
        from synthehr.run.images.preparation import prepare_images
        from synthehr.run.images.private import prepare_private_images
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
        wanted = Schema.read(schema) if isinstance(schema, str | Path) else schema
        prepared = prepare_images if privacy is None else prepare_private_images
        return prepared(_source(data, labels, patient), wanted, options)

    def fit(
        self,
        data: ImageSource | Path | str,
        schema: Schema | Path | str | None = None,
        *,
        labels: Path | str | None = None,
        patient: str | None = None,
        holdout: float | None = None,
        max_minutes: float | None = None,
        on_text: Literal["refuse", "drop"] = "refuse",
        pii: Literal["drop", "keep", "surrogate"] | None = None,
        privacy: Privacy | None = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn images.

        Parameters
        ----------
        data : path or ImageSource
            A folder or file of images, see `synthehr.io.images.read_images`.
        schema : Schema or path, optional
            What the columns beside the images are; inferred by default.
        labels : path, optional
            A table of what is known of each image.
        patient : str, optional
            Its column that says whose image it is; patients are held out whole.
        holdout : float, optional
            Share of the patients that are set aside; by default a tenth, or the split that the
            data come with.
        max_minutes, on_text, pii, privacy, callbacks, checkpoint, resume
            As of `Synthesizer.fit`.

        Returns
        -------
        ImageSynthesizer
            This one.

        Raises
        ------
        SynthehrError
            If the images, the schema or a setting cannot be used.
        """
        prepared = self.prepare(
            data,
            schema,
            labels=labels,
            patient=patient,
            holdout=holdout,
            max_minutes=max_minutes,
            on_text=on_text,
            pii=pii,
            privacy=privacy,
        )
        return self.train(prepared, callbacks=callbacks, checkpoint=checkpoint, resume=resume)

    def train(
        self,
        prepared: ImagePreparation,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: Path | None = None,
        checkpoint_every: float = 30.0,
        resume: bool = False,
    ) -> Self:
        """Do the rest of `fit` after `prepare`; parameters as of `Synthesizer.train`."""
        from synthehr.run.choices import present
        from synthehr.run.images.fitting import run_images
        from synthehr.train import find_runtime

        self._artifact, self.history = run_images(
            prepared,
            find_runtime(present(self.device)),
            callbacks=callbacks,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
        )
        return self

    def sample(
        self, n: int | None = None, given: Any = None, seed: int | None = None
    ) -> DrawnImages:
        """Draw synthetic images with what is known of each.

        Parameters
        ----------
        n : int, optional
            How many; by default as many as were given to `fit`.
        given : str, mapping or table, optional
            Conditions on the columns, as of `Synthesizer.sample`.
        seed : int, optional
            Equal seeds give equal images; fresh by default, and kept in `last_seed`.
        """
        from synthehr.run.images.drawing import together

        return together(self.sample_batches(n, given, seed))

    def sample_batches(
        self, n: int | None = None, given: Any = None, seed: int | None = None
    ) -> Iterator[DrawnImages]:
        """Draw block by block, in constant memory; parameters as of `sample`.

        Image i is the same whatever `n` is.
        """
        from synthehr.run.images.drawing import asked_of_images, draw_images
        from synthehr.seeds import settled

        chosen = self.last_seed = settled(seed)
        return draw_images(self.artifact, asked_of_images(self.artifact, n, given), chosen)

    def restore(
        self,
        data: ImageSource | Path | str,
        masks: Path | str | None = None,
        seed: int | None = None,
    ) -> NDArray[Any]:
        """Repair images, see `synthehr.run.images.restoring.restored`."""
        from synthehr.run.images.restoring import restored
        from synthehr.seeds import settled

        self.last_seed = settled(seed)
        return restored(self.artifact, _source(data, None, None), masks, self.last_seed)

    def translate(self, data: ImageSource | Path | str, to: str | None = None) -> NDArray[Any]:
        """Turn images of one domain into the other's, see `synthehr.run.images.translating`."""
        from synthehr.run.images.translating import translated

        return translated(self.artifact, _source(data, None, None), to).images

    def embed(self, data: ImageSource | Path | str) -> NDArray[Any]:
        """Compress images to latents, (N, Z) float32."""
        from synthehr.run.images.latents import embedded

        return embedded(self.artifact, _source(data, None, None))

    def reconstruct(self, data: ImageSource | Path | str) -> NDArray[Any]:
        """Compress images and rebuild them, see `synthehr.run.images.latents.reconstructed`."""
        from synthehr.run.images.latents import reconstructed

        return reconstructed(self.artifact, _source(data, None, None))

    def interpolate(self, data: ImageSource | Path | str, steps: int = 8) -> NDArray[Any]:
        """Walk from each image to the next, see `synthehr.run.images.latents.interpolated`."""
        from synthehr.run.images.latents import interpolated

        return interpolated(self.artifact, _source(data, None, None), steps)

    def walk(self, n: int = 4, steps: int = 12, seed: int | None = None) -> NDArray[Any]:
        """Walk from drawn images to others, see `synthehr.run.images.latents.drawn_walks`."""
        from synthehr.run.images.latents import drawn_walks
        from synthehr.seeds import settled

        self.last_seed = settled(seed)
        return drawn_walks(self.artifact, n, steps, self.last_seed)

    def membership(self, data: ImageSource | Path | str) -> Metric:
        """Attack the model: see `synthehr.run.images.informed.membership_by_model`."""
        from synthehr.run.images.informed import membership_by_model

        return membership_by_model(self.artifact, _source(data, None, None))

    def compression(self, data: ImageSource | Path | str) -> Compression:
        """Say how much smaller latents are, and what they keep of given images."""
        from synthehr.run.images.latents import compression

        return compression(self.artifact, _source(data, None, None))

    def score(self, data: ImageSource | Path | str) -> NDArray[Any]:
        """Say how unusual each image is, (N,); higher is more unusual."""
        from synthehr.run.images.scoring import anomalies

        return anomalies(self.artifact, _source(data, None, None)).scores

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the model file, atomically; an existing file only with `force`."""
        from synthehr.artifact import save

        save(path, self.artifact, force=force)

    @classmethod
    def load(cls, path: Path | str, *, model: type[ImageModel] | None = None) -> Self:
        """Read a model file of images; no code in it is run.

        Parameters
        ----------
        path : path
            The file.
        model : type of ImageModel, optional
            The class, for a model that is not one of synthehr's own.

        Raises
        ------
        ArtifactError
            If the file is no model file of images, damaged, or newer than this version.
        """
        from synthehr.run.images.artifact import load_images

        artifact = load_images(path, model=model)
        loaded = cls(type(artifact.model), seed=artifact.record["seed"])
        loaded._artifact = artifact
        return loaded


def _source(
    data: ImageSource | Path | str, labels: Path | str | None, patient: str | None
) -> ImageSource:
    from synthehr.io.images import ImageSource, read_images

    if isinstance(data, ImageSource):
        return data
    table = None if labels is None else Path(labels)
    return read_images(Path(data), labels=table, patient=patient)

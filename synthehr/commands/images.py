"""What commands do for images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthehr.commands.console import put_json, say
from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.io.images import ImageSource

SOURCE = "source"
"""Column that says which image another was made of."""


def sample_images(
    model: Path,
    images: int | None,
    output: str,
    given: str | None,
    parity: str | None,
    seed: int | None,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Draw images with what is known of each, and write them in the layout that was fitted."""
    from synthehr.io.images import check_images_target, write_images
    from synthehr.run.images.artifact import load_images
    from synthehr.run.images.drawing import asked_of_images, draw_images, together
    from synthehr.seeds import settled

    if parity is not None:
        raise ConfigError("--parity cannot be asked of images", hint="leave it out")
    artifact, chosen, target = load_images(model), settled(seed), _folder(output)
    check_images_target(target, force=force)
    drawn = together(draw_images(artifact, asked_of_images(artifact, images, given), chosen))
    layout = artifact.layout
    write_images(target, drawn.images, drawn.records, layout, masks=drawn.masks, force=force)
    say(f"{len(drawn.images):,} images, seed {chosen}", quiet=quiet)
    if json:
        put_json({"output": str(target), "images": len(drawn.images), "seed": chosen})
    say(f"wrote {target}\nnext: synthehr report REAL {target}", quiet=quiet)


def impute_images(
    model: Path,
    damaged: Path,
    mask: Path | None,
    output: str,
    seed: int | None,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Repair images where a mask says so, or clean them."""
    from synthehr.io.images import check_images_target, read_images
    from synthehr.run.images.artifact import load_images
    from synthehr.run.images.restoring import restored
    from synthehr.seeds import settled

    target, chosen, artifact = _folder(output), settled(seed), load_images(model)
    check_images_target(target, force=force)
    source = read_images(damaged)
    _write(target, restored(artifact, source, mask, chosen), source, force=force)
    if json:
        put_json({"output": str(target), "images": len(source), "seed": chosen})
    done = "cleaned" if mask is None else "repaired"
    say(f"{len(source):,} images {done}, seed {chosen}\nwrote {target}", quiet=quiet)


def translate_images(
    model: Path, images: Path, to: str | None, output: str, *, force: bool, json: bool, quiet: bool
) -> None:
    """Turn images of one domain into images of the other."""
    from synthehr.io.images import check_images_target, read_images
    from synthehr.run.images.artifact import load_images
    from synthehr.run.images.translating import translated

    target, artifact = _folder(output), load_images(model)
    check_images_target(target, force=force)
    source = read_images(images)
    found = translated(artifact, source, to)
    _write(target, found.images, source, force=force)
    error = float(found.cycle_error.mean())
    if json:
        told = {"output": str(target), "images": len(source), "to": found.domain}
        put_json(told | {"cycle_error": error})
    say(
        f"{len(source):,} images translated to {found.domain}; there and back they differ by "
        f"{100 * error:.1f} % of the range of a pixel\nwrote {target}",
        quiet=quiet,
    )


def score_images(
    model: Path,
    images: Path,
    output: str,
    heat: Path | None,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Say how unusual each image is, and where."""
    import numpy as np
    import pyarrow as pa

    from synthehr.io import write_table
    from synthehr.io.images import ImageLayout, check_images_target, read_images
    from synthehr.run.images.artifact import load_images
    from synthehr.run.images.scoring import anomalies

    if heat is not None:
        check_images_target(heat, force=force)
    source = read_images(images)
    found = anomalies(load_images(model), source)
    table = {SOURCE: _names(source), "anomaly": found.scores}
    if found.share_below is not None:
        table["share_of_usual_below"] = found.share_below
    written = write_table(iter([pa.table(table)]), output, force=force)
    if heat is not None:
        pictures = np.rint(255 * found.heat.clip(0, 1)).astype(np.uint8)[:, None]
        layout = ImageLayout(kind="folder", suffix=".png", dtype="uint8", bits=8, channels=1)
        _write(heat, pictures, replace(source, layout=layout), force=force)
    if output == "-":
        return
    if json:
        put_json({"output": output, "images": written})
    say(f"{written:,} images; higher is more unusual\nwrote {output}", quiet=quiet)


def _folder(output: str) -> Path:
    """Name the folder of images; a default name of a table loses its suffix."""
    path = Path(output)
    return path.with_suffix("") if path.suffix == ".parquet" else path


def _names(source: ImageSource) -> Any:
    return source.records.column(0)


def _write(target: Path, images: Any, source: ImageSource, *, force: bool) -> None:
    """Write images made of others, in the layout and with the columns of these."""
    from synthehr.io.images import write_images

    layout = replace(
        source.layout,
        dtype=str(images.dtype),
        bits=8 * images.dtype.itemsize,
        channels=images.shape[1],
        mask_place="",
    )
    records = source.records.rename_columns([SOURCE, *source.records.column_names[1:]])
    write_images(target, images, records, layout, force=force)

"""What commands do for images."""

from __future__ import annotations

from pathlib import Path

from synthehr.commands.console import put_json, say
from synthehr.errors import ConfigError


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
    artifact, chosen = load_images(model), settled(seed)
    layout, target = artifact.layout, Path(output)
    check_images_target(target, layout, force=force)
    drawn = together(draw_images(artifact, asked_of_images(artifact, images, given), chosen))
    write_images(target, drawn.images, drawn.records, layout, masks=drawn.masks, force=force)
    told = {"output": output, "images": len(drawn.images), "seed": chosen}
    say(f"{told['images']:,} images, seed {chosen}", quiet=quiet)
    if json:
        put_json(told)
    say(f"wrote {output}\nnext: synthehr report REAL {output}", quiet=quiet)

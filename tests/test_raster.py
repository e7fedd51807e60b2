"""Images as arrays of whole numbers: scale, windows, size, masks, and the way back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from phantoms import phantoms, save

from synthehr.encode.raster import Raster, RasterConfig
from synthehr.errors import ArtifactError, ConfigError, InputError
from synthehr.io.images import ImageLayout, ImageSource, read_images


def _source(
    pixels: NDArray[Any], masks: NDArray[Any] | None = None, unit: str = "", **more: Any
) -> ImageSource:
    """Hold images in memory."""
    n, channels, height, width = pixels.shape
    dtype = str(pixels.dtype)
    return ImageSource(
        records=pa.table({"image": [str(i) for i in range(n)], **more}),
        layout=ImageLayout(
            kind="folder",
            suffix=".png",
            dtype=dtype,
            bits={"uint8": 8, "float32": 32}.get(dtype, 16),
            channels=channels,
            height=height,
            width=width,
            unit=unit,
        ),
        patient="patient" if "patient" in more else None,
        load=lambda rows: iter(pixels[rows]),
        load_masks=None if masks is None else lambda rows: iter(masks[rows]),
        rows=np.arange(n),
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_eight_bits_come_back_as_they_were(channels):
    pixels, masks = phantoms(3, channels=channels)
    source = _source(pixels, masks)
    raster = Raster.settle(source)
    assert (raster.size, raster.channels, raster.mask_classes) == (12, channels, 3)
    assert (raster.low, raster.high, raster.top) == ((0,), (255,), 255)
    cells = raster.encode(source)
    assert cells.dtype == np.uint8 and cells.shape == (3, *raster.shape)
    assert (cells[:, channels:].sum(axis=1, dtype=int) == 255).all()
    back, marks = raster.decode(cells)
    assert marks is not None and marks.dtype == np.uint8
    assert back.dtype == np.uint8 and (back == pixels).all() and (marks == masks).all()


def test_hounsfield_units_come_back_to_the_unit():
    pixels, _ = phantoms(3, "int16")
    pixels[0, 0, 0, 0] = -2000  # the padding outside a scanner's circle
    source = _source(pixels, unit="HU")
    raster = Raster.settle(source)
    assert (raster.low, raster.high, raster.top) == ((-1024,), (3071,), 32767)
    cells = raster.encode(source)
    assert cells.dtype == np.int16 and cells.min() >= 0
    back, marks = raster.decode(cells)
    assert marks is None and back.dtype == np.int16
    assert (back == pixels.clip(-1024, 3071)).all()


def test_bits_are_those_that_enough_patients_use():
    pixels, _ = phantoms(12, "uint16")
    pixels[0] = 65_535
    raster = Raster.settle(_source(pixels))
    assert (raster.low, raster.high) == ((0,), (4095,))
    back, _ = raster.decode(raster.encode(_source(pixels)))
    assert (back == pixels.clip(0, 4095)).all()


def test_the_scale_of_decimal_images_belongs_to_no_single_patient():
    pixels, _ = phantoms(30, "float32")
    wild = pixels.copy()
    wild[:9] *= 1000  # nine images of one patient, and nine patients
    for patients in ([0] * 9 + list(range(1, 22)), list(range(30))):
        raster = Raster.settle(_source(wild, patient=pa.array(patients)))
        assert raster.high[0] < 1.1 and raster.low[0] <= 0.0
        assert raster.high[0] * 100 == pytest.approx(round(raster.high[0] * 100))
    raster = Raster.settle(_source(pixels))
    back, _ = raster.decode(raster.encode(_source(pixels)))
    assert back.dtype == np.float32
    assert np.abs(back - pixels.clip(raster.low[0], raster.high[0])).max() < 1e-4


@settings(max_examples=60)
@given(st.integers(-5000, 5000), st.integers(2, 10_000), st.integers(1, 25))
def test_limits_enclose_most_pixels_whatever_their_range(middle, width, n):
    cells = np.linspace(middle, middle + width, n * 16).reshape(n, 1, 4, 4).astype(np.int16)
    raster = Raster.settle(_source(cells, patient=pa.array([0] * n)))
    assert raster.low[0] <= np.percentile(cells, 5) <= np.percentile(cells, 95) <= raster.high[0]


def test_windows_follow_dicom_and_join_again():
    # PS3.3 C.11.2.1.2: brain, 80 wide at level 40, reaches from 0 to 79.
    config = RasterConfig(windows=("1500/-600", "brain", "bone"), size=8)
    values = np.array([-3000, -1350, -1000, -600, 0, 30, 79, 100, 149, 400, 1299, 3000])
    pixels = np.tile(values.astype(np.int16), 64)[: 8 * 8 * 12].reshape(12, 1, 8, 8)
    source = _source(pixels, unit="HU")
    raster = Raster.settle(source, config)
    assert raster.channels == 3
    assert (raster.low, raster.high) == ((-1350, 0, -500), (149, 79, 1299))
    cells = raster.encode(source)
    brain = cells[:, 1].reshape(-1)
    assert (brain[pixels.reshape(-1) >= 79] == 32767).all()
    assert (brain[pixels.reshape(-1) <= 0] == 0).all()
    back, _ = raster.decode(cells)
    assert back.shape == pixels.shape and (back == pixels.clip(-1350, 1299)).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(20, 12), (12, 20), (33, 33), (5, 9)])
def test_every_shape_becomes_square(fit, shape):
    pixels, masks = phantoms(2, height=shape[0], width=shape[1])
    source = _source(pixels, masks)
    raster = Raster.settle(source, RasterConfig(size=16, fit=fit))
    cells = raster.encode(source)
    assert cells.shape == (2, 4, 16, 16)
    assert (np.isin(cells[:, 1:], (0, 255))).all()
    assert (cells[:, 1:].sum(axis=1, dtype=int) == 255).all()
    back, marks = raster.decode(cells)
    assert marks is not None and set(np.unique(marks)) == {0, 1, 2}
    # The body stays as bright as it was.
    assert abs(back[:, 0][marks == 2].mean() - pixels[:, 0][masks == 2].mean()) < 40
    if fit == "pad" and shape == (20, 12):
        assert (back[..., :2] == 0).all() and (marks[..., :2] == 0).all()


def test_shrinking_averages_and_does_not_pick():
    stripes = np.zeros((1, 1, 64, 64), np.uint8)
    stripes[..., ::2] = 200
    source = _source(stripes)
    cells = Raster.settle(source, RasterConfig(size=16)).encode(source)
    assert np.abs(cells.astype(int) - 100).max() < 12


def test_channels_are_changed_where_that_makes_sense():
    colour = _source(phantoms(2, channels=3)[0])
    grey = Raster.settle(colour, RasterConfig(channels=1))
    assert grey.encode(colour).shape == (2, 1, 12, 12)
    thrice = _source(phantoms(2)[0])
    cells = Raster.settle(thrice, RasterConfig(channels=3)).encode(thrice)
    assert cells.shape == (2, 3, 12, 12) and (cells == cells[:, :1]).all()
    opaque = _source(phantoms(2, channels=4)[0])
    assert Raster.settle(opaque, RasterConfig(channels=3)).encode(opaque).shape[1] == 3
    with pytest.raises(ConfigError, match="channels do not become"):
        Raster.settle(thrice, RasterConfig(channels=4)).encode(thrice)


def test_rare_values_of_masks_count_as_the_nearest_common_one():
    pixels, masks = phantoms(30)
    masks[0, 5, 5] = 77
    source = _source(pixels, masks)
    raster = Raster.settle(source)
    assert raster.values == (0, 1, 2)
    _, marks = raster.decode(raster.encode(source))
    assert marks is not None and marks[0, 5, 5] == 2
    with pytest.raises(InputError, match="too many to be classes"):
        Raster.settle(_source(pixels, np.arange(144).reshape(1, 12, 12).repeat(30, axis=0)))
    with pytest.raises(InputError, match="the masks hold 1 values"):
        Raster.settle(_source(pixels, masks * 0))


def test_what_is_declared_is_not_measured():
    pixels, masks = phantoms(4, "uint16")
    config = RasterConfig(limits=(100, 60_000), mask_values=(0, 2))
    raster = Raster.settle(_source(pixels, masks), config)
    assert (raster.low, raster.high, raster.values) == ((100,), (60_000,), (0, 2))
    unread = _source(pixels, masks)
    unread = dataclasses.replace(unread, load=_never, load_masks=_never)
    assert Raster.settle(unread, config) == raster


def _never(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    raise AssertionError("the images were looked at")


def test_each_patient_can_have_his_own_scale():
    pixels, _ = phantoms(24, "float32")
    gains = np.repeat(np.geomspace(1, 1000, 12), 2).astype(np.float32)
    own = pa.array(np.repeat(np.arange(12), 2))
    source = _source(pixels * gains[:, None, None, None], patient=own)
    raster = Raster.settle(source, RasterConfig(scale="patient"))
    assert Raster.from_json(raster.to_json()) == raster
    cells = raster.encode(source)
    even = raster.encode(_source(pixels, patient=own))
    assert np.abs(cells.astype(int) - even).max() <= 1
    assert (cells.reshape(12, -1).max(axis=1) == 32767).all()


def test_images_without_contrast_have_no_scale():
    with pytest.raises(InputError, match="no contrast"):
        Raster.settle(_source(np.full((3, 1, 8, 8), 2.5, np.float32)))


def test_a_raster_survives_json_and_a_damaged_one_is_refused():
    pixels, masks = phantoms(3, "int16")
    raster = Raster.settle(_source(pixels, masks), RasterConfig(windows=("lung", "300/20")))
    content = json.loads(json.dumps(raster.to_json()))
    assert Raster.from_json(content) == raster
    for change in (
        {"size": 0},
        {"size": "12"},
        {"top": 7},
        {"low": [0.0]},
        {"high": [float("nan"), 1.0]},
        {"dtype": "object"},
        {"values": [2, 1]},
        {"fit": "x"},
        {"scale": "x"},
        {"more": 1},
    ):
        with pytest.raises(ArtifactError, match="damaged"):
            Raster.from_json({**content, **change})


def test_choices_that_make_no_sense():
    for wrong in (
        {"size": 4},
        {"size": 5000},
        {"fit": "x"},
        {"channels": 5},
        {"limits": (1, 1)},
        {"scale": "x"},
    ):
        with pytest.raises(ConfigError):
            RasterConfig(**wrong)
    for window in ("heart", "1/0", "-5/3", "nan/2", "50"):
        with pytest.raises(ConfigError, match="no such window"):
            RasterConfig(windows=(window,))
    with pytest.raises(ConfigError, match="cut to 8 bits already"):
        Raster.settle(_source(phantoms(1)[0]), RasterConfig(windows=("lung",)))
    with pytest.raises(ConfigError, match="images of one channel"):
        Raster.settle(_source(phantoms(1, channels=3)[0]), RasterConfig(windows=("lung",)))


def test_images_that_do_not_fit_the_raster():
    pixels, masks = phantoms(3)
    raster = Raster.settle(_source(pixels, masks))
    with pytest.raises(InputError, match="these have none"):
        raster.encode(_source(pixels))
    with pytest.raises(InputError, match="of type uint16"):
        raster.encode(_source(pixels.astype(np.uint16), masks))
    spoilt = phantoms(3, "float32")[0]
    raster = Raster.settle(_source(spoilt))
    spoilt[1, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="1 images hold pixels that are not finite"):
        Raster.settle(_source(spoilt))
    with pytest.raises(InputError, match="not finite"):
        raster.encode(_source(spoilt))


def test_files_of_several_sizes_become_one_array(tmp_path: Path):
    for i, side in enumerate((10, 70, 30)):
        save(tmp_path / f"{i}.png", phantoms(1, height=side, width=side + 5)[0][0])
    source = read_images(tmp_path)
    assert (source.layout.height, source.layout.width) == (0, 0)
    assert Raster.settle(source).encode(source).shape == (3, 1, 64, 64)

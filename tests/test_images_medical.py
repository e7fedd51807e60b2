"""DICOM and NIfTI: units, polarity and grouping come along, identifiers do not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pyarrow as pa
import pydicom
import pytest
from numpy.typing import NDArray
from phantoms import SECRET, dicom, phantoms, save
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from synthehr.errors import InputError
from synthehr.io.images import ImageSource, is_images, read_images, write_images


def _pixels(source: ImageSource) -> NDArray[Any]:
    return np.stack(list(source.images()))


def _ct(root: Path, n: int = 12, **attributes: Any) -> NDArray[np.int16]:
    """Save n slices of CT, two a patient; give their Hounsfield units."""
    pixels, _ = phantoms(n, "int16")
    for i in range(n):
        stored = (pixels[i, 0].astype(int) + 1024).astype(np.uint16)
        dicom(
            root / f"{SECRET}_{i:02d}.dcm",
            stored,
            PatientID=f"{SECRET}{i // 2}",
            BitsStored=12,
            RescaleSlope=1,
            RescaleIntercept=-1024,
            PixelSpacing=[0.5, 0.5],
            **attributes,
        )
    return pixels


def test_ct_comes_in_hounsfield_units_and_patients_as_numbers(tmp_path):
    pixels = _ct(tmp_path)
    source = read_images(tmp_path)
    layout = source.layout
    assert (layout.kind, layout.dtype, layout.unit, layout.bits) == ("dicom", "int16", "HU", 16)
    assert layout.details == {"modality": "CT"}  # six patients share the spacing: too few
    assert source.patient == "patient" and source.warnings == ()
    assert source.records.column_names == ["image", "patient"]
    assert source.records["patient"].to_pylist() == [i // 2 for i in range(12)]
    assert (_pixels(source) == pixels).all()


def test_a_spacing_that_enough_patients_share_is_kept(tmp_path):
    _ct(tmp_path, 20)
    assert read_images(tmp_path).layout.details == {"modality": "CT", "spacing": "0.5\\0.5"}


def test_no_identifier_is_kept_or_written(tmp_path):
    pixels = _ct(tmp_path / "in", PatientComments=SECRET, ImageComments=SECRET)
    source = read_images(tmp_path / "in")
    held = source.records.drop_columns("image")
    assert SECRET not in str(held.to_pylist()) + str(source.layout.to_json()) + str(source.warnings)
    assert SECRET not in repr(source.layout)
    write_images(tmp_path / "out", pixels, source.records, source.layout)
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes()
        assert SECRET.encode() not in content and b"19500101" not in content


def test_monochrome1_is_inverted_and_bits_are_kept(tmp_path, caplog):
    pixels, _ = phantoms(2, "uint16")
    for i in range(2):
        stored = (4095 - pixels[i, 0]).astype(np.uint16)
        form = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12}
        dicom(tmp_path / f"{i}", stored, Modality="DX", ViewPosition=["PA", SECRET][i], **form)
    caplog.clear()
    assert is_images(tmp_path)
    source = read_images(tmp_path)
    assert (source.layout.dtype, source.layout.bits, source.layout.unit) == ("uint16", 12, "")
    assert source.records["view"].to_pylist() == ["PA", None]
    assert (_pixels(source) == pixels).all()
    assert caplog.text == ""  # pydicom would quote the view that no standard knows


def test_frames_colour_and_decimal_units(tmp_path):
    pixels, _ = phantoms(3)
    dicom(tmp_path / "cine" / "a.dcm", pixels[:, 0], NumberOfFrames=3, Modality="MR")
    source = read_images(tmp_path / "cine")
    assert len(source) == 3 and source.records["patient"].to_pylist() == [0, 0, 0]
    assert (_pixels(source) == pixels).all()
    colour = phantoms(2, channels=3)[0]
    for i in range(2):
        last = colour[i].transpose(1, 2, 0)
        dicom(tmp_path / "rgb" / f"{i}.dcm", last, PhotometricInterpretation="RGB", Modality="XC")
    source = read_images(tmp_path / "rgb")
    assert source.layout.channels == 3 and (_pixels(source) == colour).all()
    dicom(tmp_path / "pet" / "a.dcm", pixels[0, 0], RescaleSlope=0.5, Modality="PT")
    source = read_images(tmp_path / "pet" / "a.dcm")
    assert source.layout.dtype == "float32" and (_pixels(source) == pixels[:1] * 0.5).all()


def test_burned_in_text_is_warned_of(tmp_path):
    pixels, _ = phantoms(4)
    for i, said in enumerate(("YES", "NO", None, None)):
        extra = {} if said is None else {"BurnedInAnnotation": said}
        dicom(tmp_path / f"{i}.dcm", pixels[i, 0], Modality="MR" if i == 3 else "US", **extra)
    source = read_images(tmp_path)
    assert source.records["modality"].to_pylist() == ["US", "US", "US", "MR"]
    marked, unsaid = (note for note in source.warnings if "text is burned in" in note)
    assert marked.startswith("1 of 4 DICOM files say that text is burned in")
    assert unsaid.startswith("1 of 4 DICOM files do not say whether text is burned in")


def test_folders_of_patients_are_no_classes(tmp_path):
    pixels, _ = phantoms(6)
    for i in range(6):
        place = tmp_path / f"{SECRET}{i // 2}" / f"{i}.dcm"
        dicom(place, pixels[i, 0], PatientID=f"{SECRET}{i // 2}")
    source = read_images(tmp_path)
    assert source.records.column_names == ["image", "patient"]
    assert source.warnings == ("every sub-folder holds one patient; they are no classes.",)
    for i in range(6):
        dicom(tmp_path / "in" / "ab"[i % 2] / f"{i}.dcm", pixels[i, 0], PatientID=str(i))
    source = read_images(tmp_path / "in")
    assert source.records["label"].to_pylist() == list("aaabbb")


def test_headers_that_promise_too_much(tmp_path):
    dicom(tmp_path / "a.dcm", phantoms(1)[0][0, 0], NumberOfFrames=10**9)
    with pytest.raises(InputError, match="1 of 1 files are of more than 10000 frames"):
        read_images(tmp_path)


def test_studies_stand_for_patients_whose_ids_were_removed(tmp_path):
    pixels, _ = phantoms(4)
    for i in range(4):
        study = {"StudyInstanceUID": f"1.2.{i // 2 + 1}"}
        dicom(tmp_path / f"{i}.dcm", pixels[i, 0], PatientID="ANON", **study)
    source = read_images(tmp_path)
    assert source.records["patient"].to_pylist() == [0, 0, 1, 1]
    assert "each study was taken as a patient" in source.warnings[0]


def test_files_without_an_image_are_left_out_and_damaged_ones_refused(tmp_path):
    _ct(tmp_path)
    report = pydicom.dcmread(next(tmp_path.iterdir()))
    for name in ("PixelData", "Rows", "BitsAllocated"):
        delattr(report, name)
    report.save_as(tmp_path / "0.dcm")
    source = read_images(tmp_path)
    assert len(source) == 12 and source.warnings[0].startswith("1 DICOM files hold no image")
    (tmp_path / f"{SECRET}.dcm").write_bytes(b"no DICOM")
    with pytest.raises(InputError, match="1 of 14 files are not DICOM") as caught:
        read_images(tmp_path)
    assert SECRET not in str(caught.value)
    (tmp_path / f"{SECRET}.dcm").unlink()
    whole = (tmp_path / f"{SECRET}_03.dcm").read_bytes()
    (tmp_path / f"{SECRET}_03.dcm").write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"row 4 \(of 12\) cannot be decoded") as caught:
        list(read_images(tmp_path).images())
    assert SECRET not in str(caught.value) and caught.value.__cause__ is None


def test_a_compression_that_needs_a_package(tmp_path):
    pixels, _ = phantoms(1)
    dicom(tmp_path / "a.dcm", pixels[0, 0])
    head = pydicom.dcmread(tmp_path / "a.dcm")
    head.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    head.PixelData = encapsulate([b"1234"])
    head["PixelData"].VR = "OB"
    head.save_as(tmp_path / "a.dcm")
    with pytest.raises(InputError, match="1 of 1 files are compressed in a way"):
        read_images(tmp_path)


@pytest.mark.parametrize(("package", "name"), [("pydicom", "a.dcm"), ("nibabel", "a.nii")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, name):
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"files need the package {package}") as caught:
        read_images(tmp_path)
    assert "synthehr[medical-images]" in caught.value.hint


def test_files_of_other_makers(tmp_path):
    for name in ("CT_small.dcm", "MR_small.dcm"):
        found = get_testdata_file(name, download=False)
        assert isinstance(found, str)
        source = read_images(Path(found))
        (image,) = source.images()
        assert image.shape[1:] == (source.layout.height, source.layout.width)
        assert image.dtype == "int16" and image.max() > image.min()


@pytest.mark.parametrize(
    ("dtype", "channels"),
    [("uint8", 1), ("uint16", 1), ("int16", 1), ("float32", 1), ("uint8", 3)],
)
def test_written_dicom_is_marked_and_comes_back(tmp_path, dtype, channels):
    pixels, _ = phantoms(4, dtype, channels)
    stored = pixels[:, 0] if channels == 1 else pixels.transpose(0, 2, 3, 1)
    for i in range(4):
        cells = stored[i] if dtype != "float32" else np.rint(stored[i] * 4095).astype(np.uint16)
        form = {"PhotometricInterpretation": "RGB"} if channels == 3 else {}
        slope = {"RescaleSlope": 1 / 4096} if dtype == "float32" else {}
        modality = "CT" if dtype == "int16" else "MR"
        dicom(tmp_path / "in" / f"{i}.dcm", cells, Modality=modality, **form, **slope)
    layout = read_images(tmp_path / "in").layout
    records = pa.table({"patient": ["x", "x", "y", "z"], "age": [1, 2, 3, 4]})
    write_images(tmp_path / "out", pixels, records, layout)
    source = read_images(tmp_path / "out")
    assert (source.layout.kind, source.layout.dtype, source.layout.unit) == (
        "dicom",
        dtype,
        layout.unit,
    )
    assert source.records["age"].to_pylist() == [1, 2, 3, 4]
    tolerance = 2e-5 if dtype == "float32" else 0
    assert np.abs(_pixels(source).astype(float) - pixels).max() <= tolerance
    heads = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").glob("*.dcm"))]
    assert [head.PatientID for head in heads] == [f"SYNTH-{n:06d}" for n in (1, 1, 2, 3)]
    assert len({head.SOPInstanceUID for head in heads}) == 4
    assert len({head.StudyInstanceUID for head in heads}) == 3
    for head in heads:
        assert head.ImageType == ["DERIVED", "SECONDARY"]
        assert head.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
        assert head.SOPInstanceUID.is_valid and "synthetic" in head.DerivationDescription
    write_images(tmp_path / "again", pixels, records, layout)
    again = pydicom.dcmread(tmp_path / "again" / "000001.dcm")
    assert again.SOPInstanceUID == heads[0].SOPInstanceUID


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".dcm", ".nii", ".nii.gz", ".npz"])
def test_spoilt_bytes_raise_nothing_but_our_own_error(tmp_path, suffix):
    pixels, _ = phantoms(1, "uint8" if suffix == ".jpg" else "uint16")
    path = tmp_path / f"a{suffix}"
    if suffix == ".dcm":
        dicom(path, pixels[0, 0], BitsStored=12)
    elif suffix == ".npz":
        np.savez_compressed(path, images=pixels[:, 0], labels=[1])
    elif suffix.startswith(".nii"):
        nibabel.loadsave.save(nibabel.nifti1.Nifti1Image(pixels[0], np.eye(4)), path)
    else:
        save(path, pixels[0])
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(40):
        spoilt = whole.copy()
        places = rng.integers(0, min(len(whole), 600), size=rng.choice([1, 4, 16]))
        spoilt[places] = rng.integers(0, 256, size=len(places))
        path.write_bytes(spoilt[: len(spoilt) - rng.choice([0, 0, 50])].tobytes())
        try:
            list(read_images(path).images())
        except InputError:
            refused += 1
    assert refused > 5


# NIfTI


def _volume(path: Path, cells: NDArray[Any], affine: NDArray[Any] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.nifti1.Nifti1Image(cells, np.eye(4) if affine is None else affine)
    image.header["descrip"] = SECRET.encode()
    nibabel.loadsave.save(image, path)


def test_volumes_become_axial_slices(tmp_path):
    pixels, masks = phantoms(6, "int16", height=10, width=8)
    for i, name in enumerate(("a.nii.gz", "b.nii")):
        slices = pixels[3 * i : 3 * i + 3, 0]
        _volume(tmp_path / "images" / name, slices[:, ::-1].T.copy())
        _volume(tmp_path / "masks" / name, masks[3 * i : 3 * i + 3, ::-1].T.copy())
    source = read_images(tmp_path)
    layout = source.layout
    assert (layout.kind, layout.dtype, layout.height, layout.width) == ("nifti", "int16", 10, 8)
    assert source.records["patient"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert (_pixels(source) == pixels).all()
    assert (np.stack(list(source.masks() or [])) == masks).all()
    part = source.take(np.array([4, 0]))
    assert (_pixels(part) == pixels[[4, 0]]).all()
    assert SECRET not in repr(source)
    table = pa.table({"image": ["b.nii", "a"], "age": [7, 8]})
    joined = read_images(tmp_path / "images", table=table)
    assert joined.records["age"].to_pylist() == [7, 7, 7, 8, 8, 8]
    assert (_pixels(joined) == pixels[[3, 4, 5, 0, 1, 2]]).all()


def test_volumes_are_turned_to_one_orientation_and_scaled(tmp_path):
    cells = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    _volume(tmp_path / "a.nii", cells)
    flipped = np.array([[0, 0, -1, 1], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    _volume(tmp_path / "b.nii", cells.transpose(2, 1, 0)[:, :, ::-1].copy(), flipped)
    source = read_images(tmp_path)
    first, second = np.split(_pixels(source), 2)
    assert (source.layout.height, source.layout.width) == (3, 2)
    assert (first == second).all()
    image = nibabel.nifti1.Nifti1Image(cells.astype(np.float64), np.eye(4))
    image.set_data_dtype(np.uint8)
    nibabel.loadsave.save(image, tmp_path / "b.nii")
    scaled = read_images(tmp_path / "b.nii")
    assert scaled.layout.dtype == "float32"
    assert np.abs(_pixels(scaled) - first).max() < 0.1
    assert read_images(tmp_path).layout.dtype == "float32"


def test_volumes_that_cannot_be_read(tmp_path):
    (tmp_path / f"{SECRET}.nii").write_bytes(b"no volume")
    _volume(tmp_path / "a.nii", np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(InputError, match="1 of 2 volumes are no volumes") as caught:
        read_images(tmp_path)
    assert SECRET not in str(caught.value)
    (tmp_path / f"{SECRET}.nii").unlink()
    _volume(tmp_path / "t.nii", np.zeros((2, 2, 2, 5), np.uint8))
    with pytest.raises(InputError, match="1 of 2 volumes are not of three axes"):
        read_images(tmp_path)
    (tmp_path / "t.nii").unlink()
    _volume(tmp_path / "a.nii.gz", np.random.default_rng(1).random((9, 9, 9)))
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="volume 2 of 2 cannot be decoded"):
        list(read_images(tmp_path).images())


def test_subjects_of_bids_are_patients(tmp_path):
    cells = np.arange(16, dtype=np.uint8).reshape(2, 4, 2)
    for name in ("sub-1/ses-1/x.nii", "sub-1/ses-2/x.nii", "sub-2/ses-1/x.nii"):
        _volume(tmp_path / name, cells)
    source = read_images(tmp_path)
    assert source.records["patient"].to_pylist() == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_written_slices_come_back(tmp_path, dtype):
    pixels, masks = phantoms(3, dtype, height=10, width=8)
    kind = np.ascontiguousarray(pixels[:, 0, ::-1].T)
    _volume(tmp_path / "in" / "images" / "a.nii", kind)
    _volume(tmp_path / "in" / "masks" / "a.nii", np.ascontiguousarray(masks[:, ::-1].T))
    source = read_images(tmp_path / "in")
    write_images(tmp_path / "out", pixels, source.records, source.layout, masks=masks)
    back = read_images(tmp_path / "out")
    assert back.layout == source.layout and len(back) == 3
    assert (_pixels(back) == pixels).all()
    assert (np.stack(list(back.masks() or [])) == masks).all()

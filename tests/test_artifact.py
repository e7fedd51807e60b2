"""The model file: what it keeps, and every kind of damage. Rows of research/privacy.md §5.3."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from fitted import cohort, fitted
from marginals import Marginals

from synthehr import Synthesizer, load
from synthehr.artifact import read_metadata
from synthehr.container import open_container, pack, unpack
from synthehr.errors import ArtifactError

HERE = Path(__file__).resolve().parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cohort.synthehr"
    fitted().save(path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ArtifactError) as found:
        load(path, model=Marginals)
    assert found.value.hint
    return found.value.message


def repacked(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> Path:
    """Change what is inside and sign it anew, so that the hash does not give it away."""
    container = open_container(path)
    content, tensors = container.content, unpack(container)
    change(content, tensors)
    path.write_bytes(pack(content, tensors))
    return path


def spliced(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """Change the text of the header and correct its length."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = change(data[8 : 8 + size])
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    return path


def test_what_was_saved_is_loaded(file: Path) -> None:
    loaded = load(file, model=Marginals)
    assert loaded.record == fitted().record
    assert loaded.schema == fitted().schema
    drawn = loaded.sample(500, seed=3)
    assert drawn.equals(load(file, model=Marginals).sample(500, seed=3))
    assert len(drawn) == 500


def test_equal_seeds_give_equal_files(tmp_path: Path, file: Path) -> None:
    again = Synthesizer(Marginals, seed=1).fit(cohort(), patient="patient_id")
    again.save(tmp_path / "again.synthehr")
    assert (tmp_path / "again.synthehr").read_bytes() == file.read_bytes()


def test_it_is_a_plain_safetensors_file(file: Path) -> None:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        names = opened.keys()
        assert names and all(name.startswith(("model.", "encoder.")) for name in names)


def test_it_loads_in_a_fresh_process_with_the_data_deleted(tmp_path: Path) -> None:
    table, model, out = (tmp_path / name for name in ("t.parquet", "m.synthehr", "o.parquet"))
    pq.write_table(cohort(), table)
    Synthesizer(Marginals, seed=1).fit(table, patient="patient_id").save(model)
    table.unlink()
    code = (
        "import sys; from marginals import Marginals; from synthehr import load; "
        "import pyarrow.parquet as pq, pyarrow as pa; "
        "pq.write_table(pa.concat_tables(load(sys.argv[1], model=Marginals)"
        ".sample_batches(300, seed=9)), sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", code, model, out],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"},
    )
    assert pq.read_table(out).num_rows == 300


def test_metadata_needs_neither_torch_nor_weights(file: Path) -> None:
    code = (
        "import sys; from synthehr.artifact import read_metadata; "
        "read_metadata(sys.argv[1]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, file], check=True, cwd=HERE.parent)
    assert read_metadata(file).content["record"]["seed"] == 1


def test_no_path_user_or_index_of_the_input_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "secret_folder_name.parquet"
    pq.write_table(cohort(), table)
    path = tmp_path / "m.synthehr"
    Synthesizer(Marginals, seed=1).fit(table, patient="patient_id").save(path)
    data = path.read_bytes()
    assert b"secret_folder_name" not in data
    assert str(tmp_path).encode() not in data
    assert not any(name.as_py().encode() in data for name in cohort()["patient_id"][:50])


def test_row_13_pickles_are_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "m.synthehr"
    path.write_bytes(pickle.dumps({"weights": list(range(1000))}))
    assert "pickle" in refused(path)
    torch.save({"weights": torch.zeros(3)}, path)
    assert "pickle" in refused(path)


def test_row_68_missing_folder_and_other_files(tmp_path: Path, file: Path) -> None:
    assert "no model file" in refused(tmp_path / "none.synthehr")
    assert "folder" in refused(tmp_path)
    (tmp_path / "empty").touch()
    assert "too short" in refused(tmp_path / "empty")
    pq.write_table(cohort(), tmp_path / "t.parquet")
    assert "table" in refused(tmp_path / "t.parquet")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    assert "not one that synthehr wrote" in refused(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("kept", [4, 100, 0.5, -1])
def test_row_68_truncated(file: Path, kept: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    refused(file)


def test_row_68_any_flipped_byte_is_found(file: Path) -> None:
    data = file.read_bytes()
    for place in range(8, len(data), max(1, len(data) // 60)):
        file.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            load(file, model=Marginals)
        except ArtifactError:
            continue
        size = int.from_bytes(data[:8], "little")
        assert data[place] == ord(" ") and place > size, (
            place,
            size,
            data[place - 20 : place + 20],
        )


def test_row_68_wrong_hash(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert "checksum" in refused(file)


def test_row_68_newer_version(file: Path) -> None:
    def newer(content: dict[str, Any], _: dict[str, torch.Tensor]) -> None:
        content["format"] = 99

    assert "format 99" in refused(repacked(file, newer))


@pytest.mark.parametrize("name", ["extra", "model.extra", "encoder.extra", "encoder.0.extra"])
def test_row_68_extra_tensor(file: Path, name: str) -> None:
    def extra(_: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = torch.zeros(3)

    assert "damaged" in refused(repacked(file, extra))


def test_row_68_missing_tensor(file: Path) -> None:
    def fewer(_: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        del tensors["model.logits.0"]

    assert "damaged" in refused(repacked(file, fewer))


def test_row_68_huge_header_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "m.synthehr"
    with path.open("wb") as sparse:
        sparse.write((2**40).to_bytes(8, "little"))
        sparse.truncate(2**41)
    assert "too large" in refused(path)


def test_row_68_weights_that_are_no_numbers(file: Path) -> None:
    def spoil(_: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.logits.0"][0] = torch.nan

    assert "not numbers" in refused(repacked(file, spoil))


@pytest.mark.parametrize("other", [torch.zeros(1), torch.zeros(3, 3), torch.zeros(2).double()])
def test_row_68_shape_mismatch(file: Path, other: torch.Tensor) -> None:
    def reshape(_: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.logits.0"] = other

    assert "damaged" in refused(repacked(file, reshape))


def test_row_68_duplicate_keys(file: Path) -> None:
    doubled = spliced(file, lambda header: b'{"__metadata__":{"a":"b"},' + header[1:])
    assert "twice" in refused(doubled)


def test_row_68_not_a_number_literal(file: Path) -> None:
    def literal(header: bytes) -> bytes:
        return header.replace(rb"\"seed\":1", rb"\"seed\":NaN", 1)

    assert "not finite" in refused(spliced(file, literal))


@pytest.mark.parametrize("part", ["schema", "encoder", "model", "record"])
def test_row_68_missing_or_foreign_parts(file: Path, part: str) -> None:
    data = file.read_bytes()
    for value in (None, [], {"a": 1}, "text"):

        def spoil(content: dict[str, Any], _: dict[str, torch.Tensor], value: Any = value) -> None:
            content[part] = value

        file.write_bytes(data)
        refused(repacked(file, spoil))


def test_row_68_settings_of_another_version(file: Path) -> None:
    def other(content: dict[str, Any], _: dict[str, torch.Tensor]) -> None:
        content["model"]["config"]["unheard_of"] = 1

    assert "settings" in refused(repacked(file, other))


def test_row_68_overlapping_tensors(file: Path) -> None:
    def overlap(header: bytes) -> bytes:
        content = json.loads(header)
        first, second, *_ = [key for key in content if key != "__metadata__"]
        content[second] = content[first]
        return json.dumps(content).encode()

    refused(spliced(file, overlap))


def test_a_model_of_ones_own_must_be_named(file: Path) -> None:
    with pytest.raises(ArtifactError, match="not one of synthehr's own"):
        load(file)

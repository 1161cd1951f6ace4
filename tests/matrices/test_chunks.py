"""Datasets of HDF5 read chunk by chunk: the same values as HDF5 gives, and no damage passes."""

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import CorruptMatrixError, UnsupportedFormatError
from worker.matrices import hdf5
from worker.matrices.chunks import RUN_VALUES, Column

PACKED = {"compression": "gzip", "chunks": (100,)}


def _as_stored(values: npt.NDArray[Any], _: int) -> npt.NDArray[Any]:
    return values


def _all(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    with closing(Column(dataset, _as_stored)) as column:
        return column.take(len(dataset))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    length=st.integers(0, 300),
    chunk=st.one_of(st.none(), st.integers(1, 400)),
    shuffle=st.booleans(),
    packing=st.sampled_from([None, "gzip", "lzf"]),
    kind=st.sampled_from(["<i4", "<u2", ">f4", "<f8", "<i8", "|u1"]),
    steps=st.lists(st.integers(0, 90), max_size=6),
)
def test_values_are_what_hdf5_reads(
    *,
    length: int,
    chunk: int | None,
    shuffle: bool,
    packing: str | None,
    kind: str,
    steps: list[int],
    tmp_path: Path,
) -> None:
    values = np.random.default_rng(length).integers(0, 200, length).astype(kind)
    options: dict[str, Any] = {} if chunk is None else {"chunks": (chunk,), "shuffle": shuffle, "compression": packing}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", data=values, maxshape=(None,) if chunk else None, **options)

        with closing(Column(dataset, _as_stored)) as column:
            found = [column.take(step) for step in steps if step <= length // 6]
            found.append(column.take(length - sum(map(len, found))))

    assert np.array_equal(np.concatenate(found), values)


def test_chunks_that_were_never_written_or_left_unpacked_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", (350,), "i4", fillvalue=7, **PACKED)
        dataset[100:200] = 1
        dataset.id.write_direct_chunk((200,), np.full(100, 2, "i4").tobytes(), filter_mask=1)

        found = _all(dataset)

    assert np.array_equal(found, np.repeat([7, 1, 2, 7], [100, 100, 100, 50]))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_bit_that_flipped_anywhere_is_found_unless_hdf5_would_miss_it(*, shuffle: bool, tmp_path: Path) -> None:
    """Adler-32 is weak over few bytes."""
    path = tmp_path / "a.h5"
    values = np.random.default_rng(0).poisson(1, 100).astype("i4")
    with h5py.File(path, "w") as file:
        place = file.create_dataset("x", data=values, shuffle=shuffle, **PACKED).id.get_chunk_info(0)
    content = path.read_bytes()

    for byte in range(place.byte_offset, place.byte_offset + place.size):
        path.write_bytes(content[:byte] + bytes([content[byte] ^ 0x20]) + content[byte + 1 :])
        with h5py.File(path) as file:
            try:
                found = _all(file["x"])
            except CorruptMatrixError as error:
                assert "/x, at 0:100: damaged HDF5" in str(error)  # noqa: PT017 - most are found
            else:
                assert np.array_equal(found, file["x"][()])


@pytest.mark.parametrize("size", [396, 404, 2**22])
def test_a_chunk_of_another_size_is_damaged_and_not_inflated_further(size: int, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", (100,), "i4", **PACKED)
        other = file.create_dataset("y", (size,), "u1", chunks=(size,), compression="gzip")
        other[:] = 1
        dataset.id.write_direct_chunk((0,), other.id.read_direct_chunk((0,))[1])

        with pytest.raises(CorruptMatrixError, match=r"/x, at 0:100: damaged HDF5 \(a chunk of 400 bytes was expected"):
            _all(dataset)


def test_no_thread_is_left_when_reading_ends_early(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", (20 * RUN_VALUES,), "u1", chunks=(RUN_VALUES,), compression="gzip")
        before = threading.active_count()

        with closing(Column(dataset, _as_stored)) as column:
            column.take(1)
            assert threading.active_count() > before

        assert threading.active_count() == before


def test_chunks_too_large_for_memory_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (2**28,), "u1", chunks=(2**28,), compression="gzip")

        with pytest.raises(
            UnsupportedFormatError, match=r"/x: chunks of \(268435456,\) values .* send it in chunks of"
        ):
            hdf5.dataset_at(file, "x")

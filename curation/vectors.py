"""Vectors between their three forms: Arrow float16 lists (signals), binary (tables) and float32 matrices (arithmetic).

In tables a vector is `binary`, little-endian float16, 2·d bytes: Spark carries neither float16 nor fixed-size lists.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import SchemaError


def from_matrix(rows: np.ndarray) -> pa.FixedSizeListArray:
    """FixedSizeList<float16>[d], one vector a row of an (n, d) matrix; null where a row holds NaN, Inf or overflows.

    >>> from_matrix(np.array([[1.0, 0.5], [np.nan, 0.0], [1e6, 0.0]])).to_pylist()
    [[1.0, 0.5], None, None]
    """
    with np.errstate(over="ignore"):
        halves = np.ascontiguousarray(rows, dtype=np.float16)
    bad = ~np.isfinite(halves).all(axis=1)
    return pa.FixedSizeListArray.from_arrays(pa.array(halves.reshape(-1)), rows.shape[1], mask=pa.array(bad))


def to_binary(vectors: pa.FixedSizeListArray) -> pa.BinaryArray:
    """Binary of 2·d bytes a vector, little-endian float16; null stays null.

    >>> to_binary(from_matrix(np.array([[1.0, -2.0]]))).to_pylist()
    [b'\\x00<\\x00\\xc0']
    """
    halves, valid = _halves(vectors)
    width = 2 * halves.shape[1]
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(vectors), [None, pa.py_buffer(np.ascontiguousarray(halves, dtype="<f2"))]
    )
    return pc.if_else(pa.array(valid), fixed.cast(pa.binary()), None)


def from_binary(vectors: pa.BinaryArray, dim: int | None = None) -> pa.FixedSizeListArray:
    """FixedSizeList<float16>[dim]; null stays null, and so becomes what is not 2·dim bytes (default: as most rows).

    >>> from_binary(pa.array([b"\\0\\0\\0<", None, b"\\0\\0"]), 2).to_pylist()
    [[0.0, 1.0], None, None]
    """
    halves, valid = _halves(vectors, dim)
    return pa.FixedSizeListArray.from_arrays(
        pa.array(halves.astype(np.float16).reshape(-1)), halves.shape[1], mask=pa.array(~valid)
    )


def as_matrix(vectors: pa.Array, dim: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(float32 matrix (n, d), bool mask (n,) of rows that are vectors). Rows outside the mask are zero.

    Null, NaN, Inf, all zeros and, in binary form, any other size than 2·`dim` bytes (by default that of most rows)
    are not vectors. Raises SchemaError where a fixed-size list has another size than `dim`, or the type is neither.

    >>> matrix, valid = as_matrix(from_matrix(np.array([[3.0, 4.0], [np.nan, 0.0], [0.0, 0.0]])))
    >>> matrix.tolist(), valid.tolist()
    ([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]], [True, False, False])
    """
    halves, valid = _halves(vectors, dim)
    matrix = halves.astype(np.float32)
    valid &= np.isfinite(matrix).all(axis=1) & matrix.any(axis=1)
    matrix[~valid] = 0
    return matrix, valid


def vector_faults(vectors: pa.BinaryArray) -> pa.StringArray:
    """Why each row is no vector of any size, a string; null where it is one, and where there is none.

    >>> rows = [b"\\0\\0\\0<", b"\\0\\0\\0\\0", b"\\0\\0\\0|", b"\\0<\\0", b"", None]
    >>> vector_faults(pa.array(rows)).to_pylist()
    [None, 'is zero', 'has NaN or infinity', 'has 3 bytes, an odd number', 'has no numbers', None]
    """
    sizes = pc.binary_length(vectors)
    faults = np.full(len(vectors), None, object)
    for size in pc.unique(sizes.drop_null()).to_pylist():
        rows = pc.indices_nonzero(pc.fill_null(pc.equal(sizes, size), False)).to_numpy()
        if size % 2 or not size:
            faults[rows] = f"has {size} bytes, an odd number" if size else "has no numbers"
            continue
        halves, _ = _halves_of_bytes(vectors.take(pa.array(rows)), size // 2)
        matrix = halves.astype(np.float32)
        faults[rows[~matrix.any(axis=1)]] = "is zero"
        faults[rows[~np.isfinite(matrix).all(axis=1)]] = "has NaN or infinity"
    return pa.array(faults, pa.string())


def cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows, float32 (n,), in [-1, 1]; NaN where a row is zero. `exact_cosine`, rounded.

    >>> cosine(np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]])).round(6).tolist()
    [0.9599999785423279]
    """
    return exact_cosine(left, right).astype(np.float32)


def exact_cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows, float64 (n,), in [-1, 1]; NaN where a row is zero.

    Summed row by row in one fixed order in float64, where products of float16 are exact, so that a pair's value does
    not depend on its neighbours.
    """
    left, right = np.ascontiguousarray(left, np.float64), np.ascontiguousarray(right, np.float64)
    dots = (left * right).sum(axis=1)
    norms = np.sqrt((left * left).sum(axis=1) * (right * right).sum(axis=1))
    with np.errstate(invalid="ignore"):
        return np.clip(dots / norms, -1, 1)


def _halves(vectors: pa.Array, dim: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(float16 (n, d), bool (n,)): the stored numbers, arbitrary where the mask is false."""
    kind = vectors.type
    if pa.types.is_fixed_size_list(kind) and pa.types.is_float16(kind.value_type):
        return _halves_of_lists(vectors, dim)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _halves_of_bytes(vectors, dim)
    raise SchemaError(f"vectors of type {kind}; wanted binary (little-endian float16) or fixed_size_list<halffloat>")


def _halves_of_lists(vectors: pa.FixedSizeListArray, dim: int | None) -> tuple[np.ndarray, np.ndarray]:
    size = vectors.type.list_size
    if dim not in (None, size):
        raise SchemaError(f"vectors of {size} numbers; wanted {dim}")
    valid = vectors.is_valid().to_numpy(zero_copy_only=False)
    numbers = vectors.values[vectors.offset * size : (vectors.offset + len(vectors)) * size]
    numbers = numbers.to_numpy(zero_copy_only=False).astype(np.float16, copy=False)  # a null number becomes NaN
    return numbers.reshape(len(vectors), size), valid


def _halves_of_bytes(vectors: pa.Array, dim: int | None) -> tuple[np.ndarray, np.ndarray]:
    lengths = pc.fill_null(pc.binary_length(vectors), -1).to_numpy(zero_copy_only=False)
    if dim is None:
        sizes, counts = np.unique(lengths[(lengths > 0) & (lengths % 2 == 0)], return_counts=True)
        dim = int(sizes[counts.argmax()]) // 2 if len(sizes) else 1
    valid = lengths == 2 * dim
    halves = np.zeros((len(vectors), dim), "<f2")
    joined = b"".join(vectors.filter(pa.array(valid)).to_pylist())
    halves[valid] = np.frombuffer(joined, "<f2").reshape(-1, dim)
    return halves, valid

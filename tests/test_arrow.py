"""Columns made without pandas equal pyarrow's own."""

import numpy as np
import pyarrow as pa
import pytest

from al_plugin.data.arrow import null_column, number_column, numbers, string_column, strings


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint64, np.bool_])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 100])
def test_numbers(dtype: type, n: int) -> None:
    values = (np.arange(n) * 3 % 5).astype(dtype)
    column = number_column(values)
    column.validate(full=True)
    assert column.equals(pa.array(values))
    if dtype is not np.bool_:
        np.testing.assert_array_equal(numbers(pa.chunked_array([column[: n // 2], column[n // 2 :]])), values)


@pytest.mark.parametrize("values", [[], ["a"], ["", "żółć", "a\nb", "模型" * 50]])
def test_strings(values: list[str]) -> None:
    column = string_column(values)
    column.validate(full=True)
    assert column.equals(pa.array(values, pa.string()))
    assert strings(column).tolist() == values


@pytest.mark.parametrize("kind", [pa.string(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("rows", [0, 1, 8, 9])
def test_nulls(kind: pa.DataType, rows: int) -> None:
    column = null_column(kind, rows)
    column.validate(full=True)
    assert column.equals(pa.nulls(rows, kind))

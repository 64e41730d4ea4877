"""Tables: every column beside a plain Python reading, bad cells, columns that do not agree."""

import datetime as dt
import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_forms import part, refused

from al_plugin.data.forms import form as forms
from al_plugin.data.forms.form import Form, Part, Settings

CELLS = {
    "number": st.none() | st.floats(-1e6, 1e6),
    "words": st.none() | st.sampled_from(["", "a", "b", "B", "ä", "NA"]),
}


def fitted(*parts: Part) -> Form:
    return forms.fit(parts, Settings())


def by_hand(pool: list[dict], rows: list[dict]) -> list[list[float]]:
    """One list of numbers per row: exact means, sorted categories, a flag where the pool has gaps."""
    out: list[list[float]] = [[] for _ in rows]
    for name in sorted(pool[0]):
        known = [row[name] for row in pool if row[name] is not None]
        for row, numbers in zip(rows, out, strict=True):
            if name.startswith("number"):
                mean = float(sum(map(Fraction, known)) / len(known))
                numbers.append(0.0 if row[name] is None else row[name] - mean)
            else:
                numbers += [float(row[name] == category) for category in sorted(set(known))]
            if len(known) < len(pool):
                numbers.append(float(row[name] is None))
    return out


def table(rows: list[dict], order: list[str]) -> Part:
    types = {"number": pa.float64(), "words": pa.string()}
    return part(**{name: pa.array([row[name] for row in rows], types[name[:-1]]) for name in order})


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_beside_plain_python(data: st.DataObject) -> None:
    names = ["words1", "number1", "number2", "words2"]
    row = st.fixed_dictionaries({name: CELLS[name[:-1]] for name in names})
    pool = data.draw(st.lists(row, max_size=6))
    pool.append(dict.fromkeys(names, 0.5) | {"words1": "a", "words2": "b"})
    new = data.draw(st.lists(row, max_size=4))
    order = data.draw(st.permutations(names))
    form = fitted(table(pool, names))
    assert form == fitted(table(pool, order))
    for rows in (pool, new):
        expected = np.array(by_hand(pool, rows), dtype=np.float32)
        if rows:
            np.testing.assert_array_equal(forms.encode(form, table(rows, order)), expected)


def test_numbers_of_every_type() -> None:
    columns = {
        "int": pa.array([1, 3], pa.int8()),
        "uint": pa.array([1, 3], pa.uint64()),
        "half": pa.array(np.array([1, 3], np.float16)),
        "flag": pa.array([False, True]),
        "decimal": pa.array([Decimal("1.5"), Decimal("2.5")]),
        "date": pa.array([dt.date(1970, 1, 2), dt.date(1969, 12, 31)]),
        "date64": pa.array([dt.date(1970, 1, 2), dt.date(1969, 12, 31)], pa.date64()),
        "time": pa.array([43_200, 129_600], pa.timestamp("s")),
        "zone": pa.array([0, 86_400_000], pa.timestamp("ms", tz="Asia/Tokyo")),
    }
    means = {"int": 2, "uint": 2, "half": 2, "flag": 0.5, "decimal": 2, "date": 0, "date64": 0, "time": 1, "zone": 0.5}
    differences = {
        "int": 2,
        "uint": 2,
        "half": 2,
        "flag": 1,
        "decimal": 1,
        "date": -2,
        "date64": -2,
        "time": 1,
        "zone": 1,
    }
    held = part(**columns)
    form = fitted(held)
    assert {column["name"]: column["mean"] for column in form.details["columns"]} == means
    rows = forms.encode(form, held)
    np.testing.assert_array_equal(rows[1] - rows[0], [differences[name] for name in sorted(columns)])


def test_large_numbers_keep_their_differences() -> None:
    held = part(x=[1_700_000_000, 1_700_000_001])
    np.testing.assert_array_equal(forms.encode(fitted(held), held)[:, 0], [-0.5, 0.5])


def test_missing_numbers_are_null_or_nan() -> None:
    held = part(x=pa.array([1.0, None, float("nan"), 3.0]))
    np.testing.assert_array_equal(forms.encode(fitted(held), held), [[-1, 0], [0, 1], [0, 1], [1, 0]])


def test_cells_that_only_the_evaluation_set_misses() -> None:
    form = fitted(part(x=[1.0, 3.0], c=["a", "b"]))
    np.testing.assert_array_equal(
        forms.encode(form, part(x=pa.array([None, 3.0]), c=pa.array([None, "z"]))), [[0, 0, 0], [0, 0, 1]]
    )
    nothing = part(x=pa.nulls(1), c=pa.nulls(1))
    np.testing.assert_array_equal(forms.encode(form, nothing), [[0, 0, 0]])


def test_rare_categories_share_a_column() -> None:
    """70 categories, five of them once: of these the first by name is kept."""
    often = [f"c{i:02d}" for i in range(63)]
    rare = ["z", "y", "x", "w", "v"]
    held = part(c=often * 2 + rare)
    form = fitted(held)
    (column,) = form.details["columns"]
    assert column["categories"] == [*often, "v"]
    rows = forms.encode(form, part(c=["c62", "v", "w", "new"]))
    assert rows.shape == (4, 65)
    assert rows.argmax(axis=1).tolist() == [62, 63, 64, 64]
    assert rows.sum(axis=1).tolist() == [1, 1, 1, 1]


def test_categoricals() -> None:
    words = part(c=pa.array(["b", None, "a"]).dictionary_encode())
    np.testing.assert_array_equal(forms.encode(fitted(words), words), [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    codes = part(c=pa.array([10, 9, 10]).dictionary_encode())
    assert fitted(codes).details["columns"][0]["categories"] == ["10", "9"]
    assert fitted(words, part(c=["a"])) == fitted(part(c=["b", None, "a"]), part(c=["a"]))


def test_a_part_may_miss_a_column_entirely() -> None:
    form = fitted(part(x=pa.nulls(2)), part(x=[4]))
    assert form.details["columns"] == [{"name": "x", "mean": 4.0, "missing": True}]


def test_reserved_columns_and_the_index_of_pandas_are_no_features() -> None:
    held = part(x=[1], label=["a"], group_id=["g"], cost=[1.0], sha256=["f"], __index_level_0__=[7])
    assert [column["name"] for column in fitted(held).details["columns"]] == ["x"]


def test_a_frame_of_pandas_arrives(tmp_path) -> None:
    import pandas as pd
    import pyarrow.parquet as pq

    frame = pd.DataFrame({"sample_id": ["a", "b", "c"], "x": [1.0, None, 3.0], "c": pd.Categorical(["u", None, "v"]),
                          "when": pd.to_datetime(["2020-01-01", "2020-01-03", None]), "flag": [True, False, True]})  # fmt: skip
    frame[frame.x != 3].to_parquet(tmp_path / "p.parquet")
    held = Part(pq.read_table(tmp_path / "p.parquet"), "p")
    form = fitted(held)
    assert [column["name"] for column in form.details["columns"]] == ["c", "flag", "when", "x"]
    np.testing.assert_array_equal(forms.encode(form, held), [[1, 0, 0.5, -1, 0, 0], [0, 1, -0.5, 1, 0, 1]])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (pa.array([1, 2**53 + 1]), ["x", "1 integers beyond 2^53", "first s1"]),
        (pa.array([1, -(2**53) - 1]), ["x", "2^53", "s1"]),
        (pa.array([1, 2**64 - 1], pa.uint64()), ["x", "2^53", "s1"]),
        (pa.array([1.0, float("inf")]), ["x", "infinite", "s1"]),
        (pa.array([1.0, 1e39]), ["x", "1e+38", "s1"]),
        (pa.array([None, None], pa.int64()), ["x is empty in the whole pool"]),
        (pa.array([None, float("nan")]), ["x is empty in the whole pool"]),
        (pa.array([None, None], pa.string()), ["x is empty in the whole pool"]),
        (pa.nulls(2), ["x is empty in the whole pool"]),
        (pa.array([[1], [2]]), ["x holds list"]),
        (pa.array([b"a", b"b"]), ["x holds binary"]),
        (pa.array([dt.time(1), dt.time(2)]), ["x holds time64"]),
        (pa.array([{"a": 1}, {"a": 2}]), ["x holds struct"]),
    ],
)
def test_bad_columns_are_named(cells: pa.Array, words: list[str]) -> None:
    refused(lambda: fitted(part(x=cells, y=[1, 2])), *words)


def test_integers_up_to_two_to_the_53_pass() -> None:
    held = part(x=[2**53, -(2**53)])
    np.testing.assert_array_equal(forms.encode(fitted(held), held)[:, 0], [2.0**53, -(2.0**53)])


def test_columns_that_do_not_agree() -> None:
    one, other = part(x=[1], y=[2]), part("data/eval", x=[1], z=[2])
    refused(lambda: fitted(one, other), "data/eval lacks column y and has column z", "pool part p")
    refused(lambda: forms.encode(fitted(one), other), "data/eval lacks column y and has column z", "the pool")
    refused(lambda: fitted(part(x=[1]), part("q", x=["1"])), "column x holds int64 in pool part p and string in q")
    refused(lambda: forms.encode(fitted(part(x=[1])), part("e", x=["1"])), "e: column x holds string", "numbers")
    refused(lambda: forms.encode(fitted(part(x=["1"])), part("e", x=[1])), "e: column x holds int64", "strings")


def test_the_card_is_plain_json() -> None:
    form = fitted(part(x=[1], c=["ä"]))
    assert json.loads(json.dumps(forms.to_json(form), allow_nan=False)) == forms.to_json(form)

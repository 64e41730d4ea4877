"""Which kind a part is, vectors, and what holds for every kind: rows and parts do not matter."""

import io
import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from al_plugin.data.forms import form as forms
from al_plugin.data.forms.form import Form, Part, Settings
from al_plugin.data.forms.uri import safe_uri
from al_plugin.errors import DataError

SETTINGS = Settings(image_size=3, text_features=64)
IDS = [f"s{i}" for i in range(9)]


def part(where: str = "pool part p", array: np.ndarray | None = None, **columns) -> Part:
    rows = len(array) if array is not None else len(next(iter(columns.values())))
    return Part(pa.table({"sample_id": [f"s{i}" for i in range(rows)], **columns}), where, array)


def refused(work: Callable, *parts: str) -> str:
    """The message of the DataError, which is one line and holds all ``parts``."""
    with pytest.raises(DataError) as raised:
        work()
    said = str(raised.value)
    assert "\n" not in said
    for words in parts:
        assert words in said, said
    return said


def png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def samples() -> dict[str, Part]:
    """Nine samples of every kind."""
    rng = np.random.default_rng(0)
    bytes_ = [png(rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)) for _ in IDS]
    images = rng.integers(0, 256, (9, 4, 5, 3), dtype=np.uint8)
    vectors = rng.normal(size=(9, 4))
    return {
        "vector": part(features=vectors.tolist()),
        "array of vectors": part(array=vectors),
        "text": part(text=[f"Word {'word ' * i}w{i}!" for i in range(9)]),
        "table": part(
            x=pa.array([None if i == 4 else i / 7 for i in range(9)]),
            c=pa.array([None if i == 2 else f"c{i % 3}" for i in range(9)]),
        ),
        "image": part(image=pa.array(bytes_)),
        "array of images": part(array=images),
    }


SAMPLES = samples()


def taken(whole: Part, rows: list[int]) -> Part:
    array = None if whole.array is None else whole.array[rows]
    return Part(whole.table.take(pa.array(rows, pa.int64())), whole.where, array, whole.read)


@pytest.mark.parametrize("kind", SAMPLES)
@given(rows=st.permutations(range(9)), cut=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_order_and_parts_do_not_matter(kind: str, rows: list[int], cut: int) -> None:
    whole = SAMPLES[kind]
    fitted = forms.fit([whole], SETTINGS)
    encoded = forms.encode(fitted, whole)
    two = [taken(whole, rows[:cut]), taken(whole, rows[cut:])]
    assert forms.fit(two, SETTINGS) == fitted
    np.testing.assert_array_equal(np.concatenate([forms.encode(fitted, half) for half in two]), encoded[rows])


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_form_survives_the_model_card(kind: str) -> None:
    whole = SAMPLES[kind]
    fitted = forms.fit([whole], SETTINGS)
    again = forms.from_json(json.loads(json.dumps(forms.to_json(fitted))))
    assert again == fitted
    encoded = forms.encode(again, whole)
    assert encoded.shape == (9, np.prod(fitted.shape))
    assert encoded.dtype == (np.uint8 if fitted.kind == "image" else np.float32)
    assert fitted.groups == {"text": 1, "image": 3}.get(fitted.kind, encoded.shape[1])
    assert fitted.kind == forms.kind_of(whole) == kind.removeprefix("array of ").removesuffix("s")


@pytest.mark.parametrize(
    "document", [{}, {"schema": "form/0", "kind": "text", "shape": [1], "groups": 1, "details": {}}]
)
def test_another_card_is_refused(document: dict) -> None:
    refused(lambda: forms.from_json(document), "model card")


def test_the_kind_follows_the_columns() -> None:
    kinds = {
        "vector": part(features=[[1.0]], text=["a"], image=[b"x"]),
        "text": part(text=["a"], image=[b"x"], uri=["u"], x=[1]),
        "image": part(uri=["u"], x=[1]),
        "table": part(label=["a"], cost=[1.0], group_id=["g"], x=[1]),
    }
    for kind, held in kinds.items():
        assert forms.kind_of(held) == kind
    assert forms.kind_of(part(array=np.zeros((1, 2)), text=["shown to people"])) == "vector"
    assert forms.kind_of(part(array=np.zeros((1, 2, 2), np.uint8), uri=["shown to people"])) == "image"


def test_parts_without_a_kind_are_refused() -> None:
    refused(lambda: forms.kind_of(part(label=["a"], __index_level_0__=[3])), "no column to learn from", "label")
    refused(lambda: forms.kind_of(part(array=np.zeros((1, 2)), features=[[1.0]])), "array beside")
    refused(lambda: forms.kind_of(Part(SAMPLES["table"].table, "p", np.zeros((8, 2)))), "9 rows", "8")
    refused(lambda: forms.kind_of(part(array=np.zeros(3))), "(3,)")
    twice = pa.table([pa.array(["a"])] * 2, names=["x", "x"])
    refused(lambda: forms.kind_of(Part(twice, "p")), "x stands twice")


def test_all_parts_are_of_one_kind() -> None:
    text, table = SAMPLES["text"], Part(SAMPLES["table"].table, "pool part q")
    refused(lambda: forms.fit([text, table], SETTINGS), "pool part q", "table", "pool part p", "text")
    refused(lambda: forms.encode(forms.fit([text], SETTINGS), table), "pool part q", "table", "text")


@pytest.mark.parametrize("kind", SAMPLES)
def test_empty_parts(kind: str) -> None:
    none = taken(SAMPLES[kind], [])
    refused(lambda: forms.fit([none], SETTINGS), "the pool is empty")
    refused(lambda: forms.fit([], SETTINGS), "the pool is empty")
    fitted = forms.fit([none, SAMPLES[kind]], SETTINGS)
    assert fitted == forms.fit([SAMPLES[kind]], SETTINGS)
    assert forms.encode(fitted, none).shape == (0, np.prod(fitted.shape))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int64"])
def test_arrays_of_any_number_are_vectors(dtype: str) -> None:
    values = np.array([[1, 2], [3, 100]], dtype=dtype)
    held = part(array=values)
    np.testing.assert_array_equal(forms.encode(forms.fit([held], SETTINGS), held), values.astype(np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_vectors_that_are_not_finite(bad: float) -> None:
    for held in (part(array=np.array([[1.0, 2], [3, bad]])), part(features=[[1.0, 2], [3, bad]])):
        refused(lambda held=held: forms.encode(Form("vector", (2,), 2), held), "not finite", "first row 1")


def test_vectors_of_other_lengths_or_types() -> None:
    two, three = part(features=[[1.0, 2]]), part("data/eval", features=[[1.0, 2, 3]])
    refused(lambda: forms.fit([two, three], SETTINGS), "different lengths: [2, 3]")
    refused(lambda: forms.encode(forms.fit([two], SETTINGS), three), "data/eval", "length 3", "2")
    refused(lambda: forms.encode(Form("vector", (1,), 1), part(array=np.array([["a"]]))), "<U1")
    assert forms.fit([two, part(array=np.ones((1, 2)))], SETTINGS).shape == (2,)


@pytest.mark.parametrize("uri", ["a.png", "a/b.png", "ä ö/ü.png", "..a/b..", "a/b:c.png", "%2e%2e/a"])
def test_relative_paths_are_safe(uri: str) -> None:
    assert safe_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        ".",
        "/",
        "/a",
        "//h/a",
        "../a",
        "a/../b",
        "a/..",
        "a\\b",
        "a\0b",
        "C:a",
        "./C:a",
        "file:a",
        "http://h/a",
        "./C:/../a",
    ],
)
def test_other_uris_are_refused(uri: str) -> None:
    refused(lambda: safe_uri(uri), "not a relative path")


@given(st.text(alphabet="ab./\\:\0", max_size=12))
def test_a_safe_uri_stays_below_its_folder(uri: str) -> None:
    try:
        safe = safe_uri(uri)
    except DataError:
        return
    steps = safe.split("/")
    assert all(step not in ("", ".", "..") for step in steps)
    assert safe_uri(safe) == safe


@pytest.mark.parametrize("kind", ["vector", "text", "table", "image"])
def test_the_examples_of_the_documentation(kind: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in range(2):
        (tmp_path / f"photos/{i}.png").write_bytes(png(np.full((4, 4), i, np.uint8)))
    text = (ROOT / "docs/data.md").read_text()
    exec(text.split(f"<!-- tested: {kind} -->")[1].split("```python\n")[1].split("```")[0], {})
    held = Part(pq.read_table("part-00000.parquet"), "p")
    form = forms.fit([held], Settings())
    assert form.kind == kind
    assert forms.encode(form, held).shape == (held.table.num_rows, np.prod(form.shape))

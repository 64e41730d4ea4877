"""What is fuzzed: a reader of foreign bytes by name, with whole files to start from."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from al_plugin import config, documents, store
from al_plugin.data import answers, queries
from al_plugin.data.expectations import read_suite
from al_plugin.data.forms.form import from_json
from al_plugin.data.forms.part import Part, Settings
from al_plugin.data.forms.picture import is_grey, pixels
from al_plugin.data.pool import labels_of, pool_of
from al_plugin.errors import AlError
from al_plugin.foreign import parsed, printable
from al_plugin.parts import part_of
from al_plugin.simulate import output, results
from al_plugin.simulate.plan import Arm

ROOT = Path(__file__).parents[2]
CLASSES = ("a", "b", "c")


@dataclass(frozen=True)
class Target:
    """``read`` takes any bytes; ``seeds`` are whole files, ``words`` what breaks such files."""

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()


def survives(target: Target, content: bytes) -> bool:
    """Whether the reader took the bytes. Anything but an AlError of one printable line fails the test."""
    before = sorted(os.listdir("."))
    try:
        target.read(content)
    except AlError as error:
        text = str(error)
        assert text == printable(text), text
        assert text.isprintable()
        assert len(text) < 4100, text
        return False
    finally:
        assert sorted(os.listdir(".")) == before
    return True


@cache
def scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="al-fuzz-"))


def written(name: str, content: bytes) -> Path:
    path = scratch() / name
    path.write_bytes(content)
    return path


# --- answers, queries, settings ------------------------------------------------------------------


def read_answers(content: bytes) -> None:
    sheet = answers.read_sheet(content, "x.csv", annotator="me")
    assert len(sheet.answers) == len(sheet.lines)
    filed = answers.to_csv(sheet.answers)
    again = answers.read_sheet(filed, "y.csv")
    assert answers.to_csv(again.answers) == filed
    for answer in sheet.answers:
        name = answers.file_name(1, answer.annotator, filed)
        assert Path(name).name == name
        assert answers.batch_number(name)[0] == 1
    sheet_for_people = io.StringIO(answers.for_people(sheet.answers).decode(), newline="")
    for cell in (cell for row in csv.reader(sheet_for_people) for cell in row):
        assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))


def answer_seeds() -> list[bytes]:
    rows = [answers.Answer("r0001-ab", f"s-{i}", "ann", "labelled", "a") for i in range(3)]
    odd = answers.Answer("r0001-ab", "=s", "x\ny", "skipped", "", "b01--ann b02--ann", "prediction", "1e400", '"', "")
    return [
        answers.to_csv([*rows, odd]),
        answers.for_people(rows, [{"text": "=1+1;@x"}] * 3),
        b"\xef\xbb\xbfquery_id;sample_id;label\r\nr0001-ab;s-1;a\rr0001-ac;s-2;\n",
        b"label\tsample_id\tquery_id\n\xc3\xa9\ts\tr0001-\xf0\x9f\x8e\x89\n",
    ]


def read_queries(content: bytes) -> None:
    rows = queries.from_jsonl(content, "query.jsonl")
    assert queries.from_jsonl(queries.to_jsonl(rows), "again") == rows
    for row in rows:
        try:
            assert queries.round_of(row.query_id) >= 0
        except AlError:
            continue


def query_seeds() -> list[bytes]:
    row = queries.QueryRow("r0001-ab", "s-1", 1, 0.5, "query", 1, None, "margin 0.5 \u2028")
    random = queries.QueryRow("r0001-ac", "s\ud7ff", 2, None, "random", 2, 0.1, "")
    return [queries.to_jsonl([row, random]), json.dumps(asdict(row)).encode(), b""]


def read_settings(content: bytes) -> None:
    config.read_params(content)


def setting_seeds() -> list[bytes]:
    whole = (ROOT / "params.yaml").read_bytes()
    short = b'campaign:\n  name: x\n  classes: ["a", "b"]\nselect: {n: 5, top: {}}\n'
    laughs = b'a: &a ["x", "x"]\nb: &b [*a, *a]\nc: &c [*b, *b]\ncampaign: {<<: {name: x}, name: *c, classes: *c}\n'
    return [whole, short, laughs]


def read_pipeline(content: bytes) -> None:
    documents.read_dvc(content, "dvc.yaml")
    config.read_campaign(content)


def pipeline_seeds() -> list[bytes]:
    lock = b"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    deps:\n    - path: a\n      md5: b\n      size: 1\n"
    return [(ROOT / "dvc.yaml").read_bytes(), lock]


def suite_seeds() -> list[bytes]:
    return [(ROOT / "gx/expectations/label_batch.json").read_bytes()]


# --- pool parts ----------------------------------------------------------------------------------


def read_part(content: bytes) -> None:
    table = store.table_of(content, "part.parquet", "write it again")
    pool = pool_of({"part": Part(table, "pool part x")}, Settings(image_size=4, text_features=64))
    assert len(pool.features) == len(pool) == table.num_rows
    assert np.isfinite(pool.features).all()
    labels_of(table, CLASSES, "pool part x")


def parquet(table: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def part_seeds() -> list[bytes]:
    ids = pa.array(["s-1", "s-2", "é"])
    label = pa.array(["a", "b", "c"])
    vectors = pa.array([[0.0, 1.0]] * 3, pa.list_(pa.float32(), 2))
    nested = pa.array([{"bytes": picture_seeds()[0], "path": "x"}] * 3)
    tables = [
        {"sample_id": ids, "features": vectors, "label": label},
        {"sample_id": ids, "features": pa.array([[1], [2], [3]]), "label": label},
        {"sample_id": ids.dictionary_encode(), "text": pa.array(["one", "two", "thr\u202eee"]), "label": label},
        {"sample_id": ids, "image": pa.array([picture_seeds()[0]] * 3), "label": label},
        {"sample_id": ids, "image": nested, "label": label},
        {
            "sample_id": ids,
            "n": pa.array([1, None, 2**40]),
            "d": pa.array([1, 2, None], pa.timestamp("ns")),
            "label": label,
        },
    ]
    small = {"compression": "none", "write_statistics": False}
    return [parquet(pa.table(columns), **small) for columns in tables] + [
        parquet(pa.table(tables[0]), compression="zstd")
    ]


def read_beside(content: bytes) -> None:
    written("p.npy", content)
    table = pa.table({"sample_id": ["s-1", "s-2"]})
    pool = pool_of({"p": part_of(scratch(), "p", table, "pool part p", "write it again")}, Settings(image_size=4))
    assert len(pool.features) == 2


def beside_seeds() -> list[bytes]:
    found = []
    for array in (np.zeros((2, 3), np.float16), np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 3), np.uint8)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        found.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(2))
    return [*found, buffer.getvalue()]


def read_picture(content: bytes) -> None:
    grey = is_grey(content)
    assert pixels(content, 1 if grey else 3, (4, 4)).shape == (1 if grey else 3, 4, 4)


def picture_seeds() -> list[bytes]:
    from PIL import Image

    found = []
    for mode, kind in (("RGB", "PNG"), ("L", "JPEG"), ("P", "GIF"), ("RGB", "BMP"), ("I;16", "TIFF"), ("RGBA", "WEBP")):
        buffer = io.BytesIO()
        Image.new(mode, (6, 5)).save(buffer, kind)
        found.append(buffer.getvalue())
    return found


# --- models --------------------------------------------------------------------------------------

CARD = {
    "fitted": True,
    "classes": list(CLASSES),
    "network": {"kind": "mlp", "body": "mlp", "shape": [2], "classes": 3, "hidden": 4, "dropout": 0.1},
    "form": {"schema": "form/1", "kind": "vector", "shape": [2], "groups": 2, "details": {}},
}


@cache
def weights() -> Mapping[str, np.ndarray]:
    from al_plugin.models.body import perceptron

    return {name: tensor.numpy() for name, tensor in perceptron(2, 3, hidden=4, dropout=0.1).state_dict().items()}


def read_weights(content: bytes) -> None:
    from al_plugin.models.restore import model_signals

    tensors = store.tensors_of(content, "weights.safetensors", "run dvc repro")
    model_signals(CARD, tensors, np.zeros((2, 2), np.float32))


def weight_seeds() -> list[bytes]:
    from safetensors.numpy import save

    return [save(dict(weights())), save({"x": np.zeros(3)}, {"json": "{}"})]


def read_card(content: bytes) -> None:
    from al_plugin.models.restore import model_signals

    card = store.read_json(written("card.json", content), "run dvc repro")
    if "form" in card:
        from_json(card["form"])
    model_signals(card, weights(), np.zeros((2, 2), np.float32))


def read_estimator(content: bytes) -> None:
    from sklearn.naive_bayes import GaussianNB

    from al_plugin.models.stored import restored

    restored(content, "sklearn.naive_bayes:GaussianNB", GaussianNB())


def estimator_seeds() -> list[bytes]:
    from sklearn.naive_bayes import GaussianNB

    from al_plugin.models.stored import stored

    fitted = GaussianNB().fit(np.eye(4), [0, 1, 0, 1])
    return [stored(fitted, "sklearn.naive_bayes:GaussianNB", GaussianNB())]


# --- what al simulate goes on from ---------------------------------------------------------------


def read_run(content: bytes) -> None:
    arm = Arm("random", "random")
    written("random-0000.json", content)
    found = results._read(scratch(), arm, 0)
    if found is not None:
        output._columns([results.Finished(arm, 0, found)])
    output._read(scratch() / "random-0000.json")


def run_seeds() -> list[bytes]:
    curve = {"labels": [5, 10], **{name: [0.5, 0.6] for name in results.MEASURED}}
    return [json.dumps({"schema": results.SCHEMA, "arm": "random", "seed": 0, "picks": "ab", **curve}).encode()]


_JSON = (b"[" * 5000, b"NaN", b"Infinity", b"1" * 5000, b"1e999", b'"\\ud800"', b"null", b"-1", b"{}", b'"\\u001b[2J"')
_YAML = (
    b"!!python/object/apply:os.system ['x']",
    b"!!int x",
    b"2001-99-99",
    b"&a [*a]",
    b"<<: ",
    b"? [a]",
    b"\t",
    b"|\n",
    b"9" * 5000,
    b".nan",
    b'"\\ud800"',
)
_TEXT = (
    b"=cmd|' /C calc'!A0",
    b"\x1b]0;x\x07",
    b"\xe2\x80\xae",
    b"::error::x",
    b"\x00",
    b"\xff",
    b"\r",
    b'"',
    b"<script>",
)

TARGETS = {
    "answers": Target(read_answers, answer_seeds, _TEXT),
    "queries": Target(read_queries, query_seeds, (*_JSON, *_TEXT)),
    "params.yaml": Target(read_settings, setting_seeds, (*_YAML, *_TEXT)),
    "dvc.yaml": Target(read_pipeline, pipeline_seeds, (*_YAML, *_TEXT)),
    "suite": Target(lambda content: read_suite(content, "suite"), suite_seeds, _JSON),
    "json": Target(lambda content: store.read_json(written("x.json", content), "x"), suite_seeds, _JSON),
    "parquet": Target(read_part, part_seeds, (b"PAR1", b"\xff\xff\xff\x7f")),
    "npy": Target(read_beside, beside_seeds, (b"(10**12,)", b"1000000000000", b"|O", b"(((((", b"<f8", b"\x80\x04")),
    "picture": Target(read_picture, picture_seeds, (b"\xff\xff\xff\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n")),
    "safetensors": Target(read_weights, weight_seeds, (b"\xff" * 8, b"BF16", b"F64", *_JSON)),
    "card": Target(
        read_card, lambda: [json.dumps(CARD).encode()], (b"1000000000", b"estimator", b"ensemble", b"forest", *_JSON)
    ),
    "skops": Target(read_estimator, estimator_seeds, (b"os.system", b"PK\x03\x04")),
    "simulation": Target(read_run, run_seeds, _JSON),
}
assert parsed(b"{}") == {}

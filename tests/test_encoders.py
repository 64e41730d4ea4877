"""Frozen encoders, on tiny models made on the spot: nothing is downloaded."""

import hashlib
import io
import os
import subprocess
import sys

import numpy as np
import pytest

from al_plugin.errors import DataError, StrategyError
from al_plugin.models.encoders import GRID, Encoder, encoder

TEXTS = ["a cat sat", "the dog", "cat cat cat the dog sat a", "", "sat"] * 9
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "cat", "dog", "sat"]


# Read when the library is imported: no name of a model is looked up on the network.
os.environ["HF_HUB_OFFLINE"] = "1"


def torchvision_or_skip():
    """Skip without torchvision. One built for CUDA misses its operators beside a CPU torch; timm needs none."""
    import torch

    try:
        import torchvision
    except ImportError:
        pytest.skip("needs al-plugin[images]")
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEPT.append(library)
        import torchvision  # noqa: F401


KEPT = []


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """A BERT of two layers and ten words, with random weights, in a folder."""
    try:
        import transformers
    except ImportError:
        pytest.skip("needs al-plugin[text]")
    if importable("torchvision"):
        torchvision_or_skip()
    import torch

    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    transformers.BertTokenizer(str(folder / "vocab.txt"), model_max_length=12).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=12,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder, safe_serialization=True)
    return folder


def importable(name):
    from importlib.util import find_spec

    return find_spec(name) is not None


@pytest.fixture(scope="session")
def sentences(bert, tmp_path_factory):
    """That BERT with mean pooling and normalising, as sentence-transformers saves it."""
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = tmp_path_factory.mktemp("sentences")
    words = Transformer(str(bert))
    pooling = Pooling(words.get_embedding_dimension(), pooling_mode="mean")
    library.SentenceTransformer(modules=[words, pooling, Normalize()], device="cpu").save(str(folder))
    return folder


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    """timm's smallest vision transformer with random weights, as timm saves it."""
    torchvision_or_skip()
    import timm
    import torch

    folder = tmp_path_factory.mktemp("vit")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("test_vit", pretrained=False)
    timm.models.save_for_hf(model, folder, safe_serialization=True)
    return folder


def png(seed, size=(40, 30), mode="RGB"):
    from PIL import Image

    shape = (size[1], size[0]) + ((3,) if mode == "RGB" else ())
    pixels = np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


IMAGES = [png(seed) for seed in range(3)]


def test_a_transformer_is_the_mean_over_its_tokens(bert):
    """Text by text and without padding, in float64: the mean of the last hidden states, marks included."""
    import torch
    import transformers

    found = encoder(f"transformers:{bert}").encode(TEXTS)
    assert found.shape == (45, 16)
    assert found.dtype == np.float32
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    model = transformers.AutoModel.from_pretrained(bert).double().eval()
    for text, row in zip(TEXTS[:5], found, strict=False):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(row, hidden.mean(dim=0).numpy(), atol=1e-6)


def test_long_texts_are_cut(bert):
    """Beyond the model's 12 positions a text is cut, not an error."""
    found = encoder(f"transformers:{bert}").encode(["cat " * 50, "cat " * 10])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_sentence_transformers_pool_and_normalise(bert, sentences):
    found = encoder(f"sentence-transformers:{sentences}").encode(TEXTS)
    mean = encoder(f"transformers:{bert}").encode(TEXTS)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-6)


def test_timm_takes_the_transforms_of_its_config(vit):
    import timm
    import torch
    from PIL import Image

    made = encoder(f"timm:{vit}")
    assert made.wants == "image"
    found = made.encode(IMAGES)
    model = timm.create_model(f"local-dir:{vit}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.no_grad():
        each = [model(transform(Image.open(io.BytesIO(one)).convert("RGB"))[None])[0].numpy() for one in IMAGES]
    assert found.shape == (3, 64)
    np.testing.assert_allclose(found, np.stack(each), atol=1e-5)
    grey = made.encode([png(0, mode="L")])
    assert grey.shape == (1, 64), "a grey image is taken as RGB"


def test_a_broken_image_is_named(vit):
    made = encoder(f"timm:{vit}")
    bad = b"GIF89a no image"
    with pytest.raises(DataError, match=hashlib.sha256(bad).hexdigest()):
        made.encode([IMAGES[0], bad])
    with pytest.raises(DataError, match="cannot read"):
        made.encode([IMAGES[0][:500]])


KINDS = ("bert", "sentences", "vit")


def made_by(kind, request, **options):
    library = {"bert": "transformers", "sentences": "sentence-transformers", "vit": "timm"}[kind]
    folder = request.getfixturevalue(kind)
    return encoder(f"{library}:{folder}", **options), (IMAGES if kind == "vit" else TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_samples_are_the_same_bytes(kind, request):
    """Again, with a fresh load, after other samples, whatever torch's generator; which does not move."""
    import torch

    made, samples = made_by(kind, request)
    first = made.encode(samples)
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    made.encode(samples[:1])
    again, _ = made_by(kind, request)
    assert again.encode(samples).tobytes() == first.tobytes() == made.encode(samples).tobytes()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


@pytest.mark.slow
def test_the_same_bytes_in_another_process(request):
    """Another hash seed; without torchvision, which may not go with this torch in a plain process."""
    made = [made_by(kind, request) for kind in ("bert", "sentences")]
    code = "import hashlib, sys\nsys.modules['torchvision'] = None\nfrom al_plugin.models.encoders import encoder\n"
    for one, samples in made:
        code += f"print(hashlib.sha256(encoder({one.name!r}).encode({samples!r}).tobytes()).hexdigest())\n"
    env = {**os.environ, "PYTHONHASHSEED": "3", "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    expected = [hashlib.sha256(one.encode(samples).tobytes()).hexdigest() for one, samples in made]
    assert found.stdout.split() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_content_and_threads_are_part_of_the_version(kind, request, tmp_path):
    """Another weight under the same name is another version, and so is another number of threads."""
    import shutil

    made, _ = made_by(kind, request)
    assert made.version == made_by(kind, request)[0].version
    assert made.version != made_by(kind, request, threads=2)[0].version
    library, _, folder = made.name.partition(":")
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert encoder(f"{library}:{copy}").version == made.version
    weights = next(copy.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert encoder(f"{library}:{copy}").version != made.version


@pytest.mark.parametrize("kind", KINDS)
def test_pickled_weights_are_refused(kind, request, tmp_path):
    """pytorch_model.bin instead of model.safetensors: refused before anything is loaded."""
    import shutil

    made, _ = made_by(kind, request)
    library, _, folder = made.name.partition(":")
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = next(copy.rglob("*.safetensors"))
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(StrategyError, match=r"pytorch_model\.bin is a pickle.*safetensors"):
        encoder(f"{library}:{copy}")


def test_code_in_a_models_folder_is_never_run(bert, sentences, tmp_path):
    """Neither a module of sentence-transformers' list nor transformers' auto_map."""
    import json
    import shutil

    copy = shutil.copytree(sentences, tmp_path / "evil_sentences")
    (copy / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\nclass Evil: pass\n")
    listed = json.loads((copy / "modules.json").read_text())
    listed[-1]["type"] = "evil.Evil"
    (copy / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(StrategyError, match=r"asks for evil\.Evil, which is no module of sentence-transformers"):
        encoder(f"sentence-transformers:{copy}")

    copy = shutil.copytree(bert, tmp_path / "evil_bert")
    ran = tmp_path / "ran"
    (copy / "evil.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n")
    config = json.loads((copy / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}, "model_type": "unknown"}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(StrategyError, match="trust_remote_code"):
        encoder(f"transformers:{copy}").encode(["cat"])
    assert not ran.exists()


# --- the user's own, and what needs no extra

MODULE = """
import numpy as np


def lengths(texts: list[str]) -> np.ndarray:
    return np.array([[len(text), text.count("a")] for text in texts])


def sizes(files: list[bytes]) -> np.ndarray:
    return np.array([[len(file)] for file in files], dtype=np.float16)


def silent(texts):
    return np.zeros((len(texts), 1))


def flat(texts: list[str]) -> np.ndarray:
    return np.zeros(len(texts))


def words(texts: list[str]) -> np.ndarray:
    return np.array([[text] for text in texts])


def infinite(texts: list[str]) -> np.ndarray:
    return np.full((len(texts), 2), 1e300)


def uneven(texts: list[str]) -> np.ndarray:
    return np.zeros((len(texts), len(texts)))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "my_encoders.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_encoders"
    sys.modules.pop("my_encoders", None)


def test_a_users_function(own):
    made = encoder(f"{own}:lengths")
    assert (made.name, made.wants) == (f"{own}:lengths", "text")
    found = made.encode(["banana", ""])
    assert found.dtype == np.float32
    assert found.tolist() == [[6, 3], [0, 0]]
    files = encoder(f"{own}:sizes")
    assert files.wants == "image"
    assert files.encode([b"abc"]).tolist() == [[3]]
    assert len(made.encode([])) == 0


def test_a_changed_file_is_another_version(own, tmp_path):
    before = encoder(f"{own}:lengths").version
    (tmp_path / "my_encoders.py").write_text(MODULE + "\n# changed\n")
    assert encoder(f"{own}:lengths").version != before


def test_samples_come_on_one_grid(own):
    """At most GRID at a time, from the first on."""
    asked = []

    def run(samples):
        asked.append(len(samples))
        return np.zeros((len(samples), 2))

    found = Encoder("x:y", "text", "1", run).encode(["a"] * (2 * GRID + 5))
    assert asked == [GRID, GRID, 5]
    assert found.shape == (2 * GRID + 5, 2)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("silent", "does not say what it takes; annotate its first parameter"),
        ("flat", r"gave float64 of shape \(2,\) for 2 samples"),
        ("words", r"gave <U\d+ of shape"),
        ("infinite", "gave embeddings that are not finite"),
        ("missing", "cannot be imported"),
    ],
)
def test_refusals_are_one_line(own, name, found):
    with pytest.raises(StrategyError, match=found) as refusal:
        encoder(f"{own}:{name}").encode(["a", "b"])
    assert "\n" not in str(refusal.value)
    assert f"{own}:{name}" in str(refusal.value)


def test_blocks_of_different_width_are_refused(own):
    with pytest.raises(StrategyError, match="embeddings of different lengths"):
        encoder(f"{own}:uneven").encode(["a"] * (GRID + 1))


def test_the_wrong_kind_of_sample_is_refused(own):
    with pytest.raises(DataError, match="takes str, sample 1 is bytes; give it texts"):
        encoder(f"{own}:lengths").encode(["a", b"a"])
    with pytest.raises(DataError, match="takes bytes, sample 0 is str; give it the bytes of image files"):
        encoder(f"{own}:sizes").encode(["a"])


@pytest.mark.parametrize("name", ["timm", "sentence-transformer", ":x", "timm:", ""])
def test_names_that_are_none(name):
    with pytest.raises(StrategyError, match="is not library:name or module:function"):
        encoder(name)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("timm:resnet18", "timm", "images"),
        ("sentence-transformers:all-MiniLM-L6-v2", "sentence-transformers", "text"),
        ("transformers:bert-base-uncased", "transformers", "text"),
    ],
)
def test_a_missing_library_names_its_extra(name, package, extra, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from al_plugin.models.encoders import running

    def version(asked):
        raise PackageNotFoundError(asked)

    monkeypatch.setattr(running, "version", version)
    with pytest.raises(StrategyError) as refusal:
        encoder(name)
    expected = f"encoder {name} needs {package}, which is not installed; pip install 'al-plugin[{extra}]'"
    assert str(refusal.value) == expected


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (RuntimeError("operator torchvision::nms\ndoes not exist"), r"nms does not exist\); install a torchvision"),
        (ImportError("no timm"), r"no timm\); pip install 'al-plugin\[images\]'"),
        (OSError("no such\nmodel"), r"no such model\); check the name"),
    ],
)
def test_what_a_library_says_is_one_line(error, found):
    from al_plugin.models.encoders.running import loading

    with pytest.raises(StrategyError, match=found) as refusal, loading("timm:x", "images"):
        raise error
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["transformers:no/such", "sentence-transformers:no/such"])
def test_a_model_that_is_not_there_is_one_line(bert, name):
    """Offline and not in the library's own cache."""
    with pytest.raises(StrategyError, match=f"encoder {name} cannot be loaded") as refusal:
        encoder(name).encode(["cat"])
    assert "\n" not in str(refusal.value)


def test_naming_an_encoder_imports_no_library():
    """Torch and the like are loaded with the model, at the first use."""
    code = "import sys, al_plugin.cache; from al_plugin.models.encoders import texts, images, own\nprint(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "transformers", "sentence_transformers"} & set(found.stdout.split())

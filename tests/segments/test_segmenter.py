import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor, SegformerModel

from tasks.errors import InputError
from tasks.segments.segmenter import Segmenter, load_segmenter, quiet_transformers

NAMES = {0: "sky", 1: "unused_1", 2: "tree", 3: "house"}
SIZES = [(40, 61), (32, 32), (77, 38), (40, 61)]


def config(**changes: Any) -> SegformerConfig:
    settings: dict[str, Any] = {
        "depths": [1] * 4,
        "hidden_sizes": [8, 8, 16, 16],
        "num_attention_heads": [1, 1, 2, 2],
        "decoder_hidden_size": 16,
        "id2label": NAMES,
    }
    return SegformerConfig(**settings | changes)


def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (3, height, width), dtype=np.uint8) for height, width in SIZES]


@pytest.fixture
def segmenter() -> Segmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SegformerForSemanticSegmentation(config(initializer_range=0.2))
    return Segmenter(model.train(False), SegformerImageProcessor(size={"height": 32, "width": 64}))


@pytest.fixture
def folder(segmenter: Segmenter, tmp_path: Path) -> Path:
    segmenter.save(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_segmenter_is_the_same_when_loaded(segmenter: Segmenter, folder: Path) -> None:
    loaded = load_segmenter(str(folder))
    assert loaded.classes == segmenter.classes == {0: "sky", 2: "tree", 3: "house"}
    assert loaded.digest == segmenter.digest and len(loaded.digest) == 64
    assert not loaded.model.training
    for ours, theirs in zip(segmenter.segment(images()), loaded.segment(images()), strict=True):
        assert np.mean(ours != theirs) < 0.01  # another attention kernel rounds otherwise


def test_label_maps_have_each_photo_s_size_at_any_batch_size(segmenter: Segmenter) -> None:
    together = segmenter.segment(images(), batch_size=4)
    assert [found.shape for found in together] == SIZES and all(found.dtype == np.uint8 for found in together)
    for batch_size in (1, 3):
        for ours, theirs in zip(together, segmenter.segment(images(), batch_size), strict=True):
            assert np.mean(ours != theirs) < 0.01
    assert segmenter.segment([]) == []


def test_it_says_what_transformers_own_processing_says(segmenter: Segmenter) -> None:
    for image, found in zip(images(), segmenter.segment(images()), strict=True):
        inputs = segmenter.processor(image.transpose(1, 2, 0), return_tensors="pt")
        with torch.no_grad():
            outputs = segmenter.model(**inputs)
        outputs.logits[:, 1] = -1e4  # no class has this id
        expected = segmenter.processor.post_process_semantic_segmentation(outputs, target_sizes=[image.shape[1:]])[0]
        assert np.mean(found != expected.numpy()) < 0.03  # bfloat16 against float32


def test_logits_are_resized_before_the_argmax(segmenter: Segmenter) -> None:
    # Two cells, sky and tree: the border lies where the interpolated lines cross, not at the cells' border.
    logits = torch.full((4, 1, 2), -9.0)
    logits[0, 0] = torch.tensor([3.0, 0.0])
    logits[2, 0] = torch.tensor([0.0, 1.0])
    line = F.interpolate(logits[None, :, 0], size=16, mode="linear")[0]
    expected = np.where(line[0] > line[2], 0, 2)
    assert 8 < (expected == 0).sum() < 16
    assert segmenter._label_map(logits, 5, 16).tolist() == [expected.tolist()] * 5


def test_an_unused_output_is_never_predicted(segmenter: Segmenter) -> None:
    with torch.no_grad():
        segmenter.model.get_parameter("decode_head.classifier.bias")[1] = 1e4
    assert all(1 not in found for found in segmenter.segment(images()))


def test_processors_that_keep_proportions_work(segmenter: Segmenter) -> None:
    keeping = Segmenter(segmenter.model, SegformerImageProcessor(do_resize=False))
    assert [found.shape for found in keeping.segment(images())] == SIZES


def test_the_digest_follows_weights_names_and_preprocessing(segmenter: Segmenter, folder: Path) -> None:
    def changed(name: str, **entries: Any) -> str:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | entries))
        digest = load_segmenter(str(folder)).digest
        (folder / name).write_text(json.dumps(content))
        return digest

    digests = [segmenter.digest, changed("config.json", id2label={**NAMES, 0: "sea"})]
    digests.append(changed("preprocessor_config.json", size={"height": 64, "width": 64}))
    weights = load_file(folder / "model.safetensors")
    weights["decode_head.classifier.bias"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    digests.append(load_segmenter(str(folder)).digest)
    assert len(set(digests)) == 4


def refused(folder: Path | str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        load_segmenter(str(folder))
    assert "\n" not in str(raised.value)


def test_what_is_not_there_or_no_segformer_is_refused(folder: Path, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere cannot be loaded: no such folder")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "bert"}))
    refused(folder, "is no SegFormer but 'bert'")
    (folder / "config.json").write_text("{")
    refused(folder, r"no config\.json in the folder that can be read .* save the model there")


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("We couldn't connect to 'https://huggingface.co'\nCheck your internet connection")

    monkeypatch.setattr(SegformerConfig, "get_config_dict", unreachable)
    refused("someone/segformer", r"someone/segformer cannot be loaded: .*couldn't connect to .* give a folder")


def test_pickled_weights_are_not_read(segmenter: Segmenter, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(segmenter.model.state_dict(), folder / "pytorch_model.bin")
    refused(folder, r"cannot be loaded: .*model\.safetensors")


def test_broken_or_missing_files_are_refused(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    refused(folder, "cannot be loaded: .*image processor")
    (folder / "model.safetensors").write_bytes(b"broken")
    refused(folder, "cannot be loaded")


def test_weights_without_a_head_are_refused(folder: Path) -> None:
    with quiet_transformers():
        SegformerModel(config()).save_pretrained(folder)
    refused(folder, r"lacks \d+ weights \(decode_head\.")


def test_more_classes_than_a_label_map_holds_are_refused(folder: Path) -> None:
    with quiet_transformers():
        model = SegformerForSemanticSegmentation(config(id2label={index: str(index) for index in range(257)}))
        model.save_pretrained(folder)
    refused(folder, "257 classes; a label map holds one byte a pixel, 256 classes")

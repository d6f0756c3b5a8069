"""A SegFormer that gives every pixel of a photo a class: load it, apply it, save it.

Works with any published SegFormer and with those that `fit_segmenter` trains: both are folders (or hub names) with
`config.json`, `preprocessor_config.json` and `model.safetensors`. An output's index is the class id, `id2label` its
name. An id that `fit_segmenter` had to leave out, because the classes' ids have gaps, is named `unused_ID` and is
never predicted.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor
from transformers.utils import logging as transformers_logging

from tasks.errors import InputError, reason_of
from tasks.mixed_precision import mixed_precision
from tasks.segments.names import check_name

LABEL_MAP_IDS = 256  # a label map holds one byte a pixel
# Facts of a saved configuration that say where and by what it was written, not what the model does.
_VOLATILE = ("_name_or_path", "transformers_version", "architectures", "dtype")


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A SegFormer with its preprocessing. Make one with `load_segmenter` or `fit_segmenter`.

    Attributes:
        model: in evaluation mode, on its device.
        processor: resizes and normalises photos as in training.
    """

    model: SegformerForSemanticSegmentation
    processor: SegformerImageProcessor

    @cached_property
    def classes(self) -> dict[int, str]:
        """Class id (0..255) to name, by id."""
        names = {int(class_id): str(name) for class_id, name in (self.model.config.id2label or {}).items()}
        return {class_id: names[class_id] for class_id in sorted(names) if names[class_id] != unused_name(class_id)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the weights, the configuration and the preprocessing: the same after saving and loading."""
        sha = hashlib.sha256()
        for settings in (self.model.config.to_dict(), self.processor.to_dict()):
            kept = {key: value for key, value in settings.items() if key not in _VOLATILE and value is not None}
            sha.update(json.dumps(kept, sort_keys=True, default=str).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return sha.hexdigest()

    def segment(self, images: Sequence[NDArray[np.uint8]], batch_size: int = 8) -> list[NDArray[np.uint8]]:
        """Give every pixel a class.

        Args:
            images: uint8 [3, h, w] each, RGB in 0..255, of any sizes.
            batch_size: how many go through the model at once.

        Returns:
            For each image, uint8 [h, w]: class ids.
        """
        label_maps: list[NDArray[np.uint8]] = []
        for start in range(0, len(images), batch_size):
            chunk = images[start : start + batch_size]
            logits = self._logits(chunk)
            label_maps += [
                self._label_map(logit, image.shape[1], image.shape[2])
                for logit, image in zip(logits, chunk, strict=True)
            ]
        return label_maps

    def save(self, folder: Path) -> None:
        """Write `config.json`, `preprocessor_config.json` and `model.safetensors` into a folder (made if missing)."""
        with quiet_transformers():
            self.model.save_pretrained(folder)
            self.processor.save_pretrained(folder)

    def _logits(self, images: Sequence[NDArray[np.uint8]]) -> list[torch.Tensor]:
        """Float32 [classes, rows, columns] for each image, at a fraction (mostly a quarter) of the model's input."""
        # A copy, because torch warns of arrays that cannot be written to, and decoded photos may be such.
        tensors = [torch.from_numpy(image.copy()) for image in images]
        values = [
            value.to(self.model.device)
            for value in self.processor(tensors, input_data_format="channels_first")["pixel_values"]
        ]
        # Processors that keep a photo's proportions give several sizes: those go through one by one.
        batches = [torch.stack(values)] if len({value.shape for value in values}) == 1 else [v[None] for v in values]
        with torch.inference_mode(), mixed_precision(self.model.device):
            return [logit for batch in batches for logit in self.model(pixel_values=batch).logits.float()]

    def _label_map(self, logits: torch.Tensor, height: int, width: int) -> NDArray[np.uint8]:
        """Uint8 [height, width]: logits are resized before the argmax, so that edges are finer than their grid."""
        ids = torch.tensor(list(self.classes), device=logits.device)
        with torch.inference_mode():
            # A pixel's values lie side by side: on a CPU, argmax is several times as fast as over planes.
            chosen = logits[ids][None].contiguous(memory_format=torch.channels_last)
            resized = F.interpolate(chosen, size=(height, width), mode="bilinear", align_corners=False)
            return ids[resized[0].argmax(dim=0)].to(torch.uint8).cpu().numpy()


def load_segmenter(name_or_folder: str, device: str = "cpu") -> Segmenter:
    """Load a SegFormer from a folder, or from the Hugging Face hub by name.

    Only safetensors are read: nothing that a user hands in is unpickled.

    Raises:
        InputError: there is no such model, it is no SegFormer for segmentation, it lacks weights or preprocessing,
            has more classes than a label map can hold, or a class whose name is none.
    """
    check_config(name_or_folder)
    try:
        with quiet_transformers():
            # With output_loading_info it returns a pair, which its annotation does not say.
            loaded: Any = SegformerForSemanticSegmentation.from_pretrained(
                name_or_folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32
            )
            processor = SegformerImageProcessor.from_pretrained(name_or_folder)
    except Exception as error:  # whatever transformers makes of a file that is not what it should be
        raise InputError(f"segmenter {name_or_folder} cannot be loaded: {reason_of(error)}") from error
    model, notes = loaded
    if notes["missing_keys"] or notes["mismatched_keys"]:
        missing = sorted(notes["missing_keys"]) or sorted(str(key) for key in notes["mismatched_keys"])
        raise InputError(
            f"segmenter {name_or_folder} lacks {len(missing)} weights ({missing[0]}, ...), so it cannot segment: "
            "train it with fit_segmenter, or name one that is trained"
        )
    if model.config.num_labels > LABEL_MAP_IDS:
        raise InputError(
            f"segmenter {name_or_folder} has {model.config.num_labels} classes; "
            f"a label map holds one byte a pixel, {LABEL_MAP_IDS} classes at most"
        )
    place(model, torch.device(device))
    segmenter = Segmenter(model, processor)
    for name in segmenter.classes.values():
        check_name(name, f"a class of the segmenter {name_or_folder}")
    return segmenter


def place(model: SegformerForSemanticSegmentation, device: torch.device) -> None:
    """Bring a model to a device, ready to segment: in evaluation mode, with the attention that is fastest then."""
    model.set_attn_implementation("sdpa")
    module: nn.Module = model  # transformers' own `to` and `eval` lack annotations
    module.to(device).eval()


def check_config(name_or_folder: str) -> None:
    """Raise InputError unless a SegFormer's configuration is there.

    Transformers would fill a model of another kind with random weights and only log a warning.
    """
    try:
        settings, _ = SegformerConfig.get_config_dict(name_or_folder)
        kind = settings.get("model_type")
    except Exception as error:  # as in `load_segmenter`
        if Path(name_or_folder).is_dir():
            missing, advice = "no config.json in the folder that can be read", "save the model there"
        else:
            missing, advice = "no such folder, and not to be had from the Hugging Face hub", "give a folder"
        raise InputError(
            f"segmenter {name_or_folder} cannot be loaded: {missing} ({reason_of(error)}); {advice}"
        ) from error
    if kind != "segformer":
        raise InputError(f"segmenter {name_or_folder} is no SegFormer but {kind!r}: name a SegFormer")


def unused_name(class_id: int) -> str:
    """Name of an output that no class uses."""
    return f"unused_{class_id}"


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no load report on the terminal: what matters of it is raised as an error."""
    bars, verbosity = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]

"""A SegFormer to train: a new one, or a trained one with a new head.

Convolutions are initialised by their fan-out as in the authors' code (transformers uses a normal distribution of 0.02).
"""

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from tasks.errors import InputError, reason_of
from tasks.segments.segmenter import check_config, quiet_transformers, unused_name

CLASSIFIER = "decode_head.classifier"  # the layer whose outputs are the classes


def new_model(
    classes: Mapping[int, str], start: str | None, sizes: Mapping[str, Any], generator: torch.Generator
) -> SegformerForSemanticSegmentation:
    """A model whose outputs are the class ids: 0 to the highest, those between that no class has are unused.

    Args:
        classes: class id to name.
        start: folder or hub name of a SegFormer that gives the weights of all but the head; None gives new ones to all.
        sizes: what `SegformerConfig` calls the sizes of the layers; a start has its own.
        generator: of the new weights.

    Raises:
        InputError: the start cannot be loaded.
    """
    names = {class_id: classes.get(class_id, unused_name(class_id)) for class_id in range(max(classes) + 1)}
    # No dropout: it draws from the process's random generator, which other threads draw from too.
    settings: dict[str, Any] = {
        "id2label": names,
        "label2id": {name: class_id for class_id, name in names.items()},
        "classifier_dropout_prob": 0.0,
        "drop_path_rate": 0.0,
    }
    if start is None:
        config = SegformerConfig(**sizes, **settings)
        with torch.random.fork_rng(devices=[]):
            model = SegformerForSemanticSegmentation(config)
        _initialise(dict(model.named_modules()), generator)
        return model
    check_config(start)
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            # With output_loading_info it returns a pair, which its annotation does not say.
            loaded: Any = SegformerForSemanticSegmentation.from_pretrained(
                start,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                dtype=torch.float32,
                **settings,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"segmenter {start} cannot be loaded: {reason_of(error)}") from error
    started, notes = loaded
    # The classifier's rows stand for other classes, and a backbone alone has no head at all.
    new = {CLASSIFIER} | {key.rpartition(".")[0] for key in notes["missing_keys"]}
    _initialise({name: module for name, module in started.named_modules() if name in new}, generator)
    return cast(SegformerForSemanticSegmentation, started)


def _initialise(modules: Mapping[str, nn.Module], generator: torch.Generator) -> None:
    """New weights as in the SegFormer authors' code; norms keep what transformers gives them, ones and zeros."""
    for name, module in modules.items():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            std = 0.01 if name == CLASSIFIER else math.sqrt(2 / fan_out)
            nn.init.normal_(module.weight, std=std, generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""A trunk's stages before and behind the layer that is explained."""

from torch import nn

from tasks.metric.model import EmbeddingModel
from tasks.metric.trunks import flattened_stages


def stages_around(model: EmbeddingModel, layer: str) -> tuple[list[nn.Module], list[nn.Module]]:
    """The trunk's stages up to and with a layer, and those behind it.

    Raises:
        ValueError: there is no such stage.
    """
    stages = flattened_stages(model.trunk)
    names = [name for name, _ in stages]
    if layer not in names:
        raise ValueError(f"the trunk has no stage {layer!r}: one of {', '.join(names)}")
    modules = [stage for _, stage in stages]
    end = names.index(layer) + 1
    return modules[:end], modules[end:]

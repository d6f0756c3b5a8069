import pytest

from tasks.explanation.stages import stages_around
from tasks.metric.model import ModelSpec, build_model


def test_stages_before_and_behind() -> None:
    model = build_model(ModelSpec(trunk="small", embedding=6))
    before, behind = stages_around(model, "layer2")
    assert [type(stage).__name__ for stage in before[:3]] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert before[3:] == [model.trunk.layer1, model.trunk.layer2]
    assert behind == [model.trunk.layer3, model.trunk.layer4]
    with pytest.raises(ValueError, match=r"no stage 'layer9': one of stem\.0, .*layer4"):
        stages_around(model, "layer9")

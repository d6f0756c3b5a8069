"""Where a study's own data come from when no store is given: the data sets on the Hugging Face hub."""

from pathlib import Path

from flows.parameters import PrepareParameters
from tasks.errors import InputError

# CelebA's photos may not be passed on, so no data set of the hub is named here.
DATASETS: dict[str, dict[str, str]] = {
    "human-parsing": {
        "name": "mattmdjaga/human_parsing_dataset",
        "mask": "mask",
        "classes": "human-parsing",
        "label_segment": "Dress",
    },
    "sceneparse150": {
        "name": "zhoubolei/scene_parse_150",
        "subset": "scene_parsing",
        "mask": "annotation",
        "classes": "sceneparse150",
        "label_segment": "building",
    },
}


def hub_data(study: str, out: Path) -> PrepareParameters:
    """How to prepare a study's data set from the hub.

    Raises:
        InputError: the study has none there.
    """
    if study not in DATASETS:
        raise InputError(
            f"the data of {study} are not on the hub: prepare them with `heml prepare --images ... --masks ... "
            "--labels ... --out STORE` and give --store STORE"
        )
    photos = {"kind": "dataset", **DATASETS[study]}
    return PrepareParameters.model_validate({"photos": photos, "out": out})

"""The command `heml prepare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from flows.terminal import prefect_at_terminal
from infra.settings import load_settings
from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.segments.portraits import PortraitSpec


def prepare(
    out: Annotated[Path, typer.Option(help="folder of the segment store")],
    portraits: Annotated[int | None, typer.Option(help="draw so many synthetic portraits to train on")] = None,
    cause: Annotated[str, typer.Option(help="the part that carries the portraits' label")] = "hair",
    shortcut: Annotated[str, typer.Option(help="the part that agrees with it in training, or none")] = "cloth",
    known_masks: Annotated[int | None, typer.Option(help="keep the masks of so many portraits only")] = None,
    images: Annotated[Path | None, typer.Option(help="folder of photos")] = None,
    masks: Annotated[Path | None, typer.Option(help="folder of their masks: PNG, class ids")] = None,
    classes: Annotated[Path | None, typer.Option(help="classes.json, or a table by its preset's name")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="labels.csv with a column id; not needed with --label-segment")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="a Hugging Face data set, by name or Parquet file")] = None,
    image_column: Annotated[str, typer.Option(help="of the data set")] = "image",
    mask_column: Annotated[str | None, typer.Option(help="of the data set")] = None,
    subset: Annotated[str | None, typer.Option(help="of the data set: its configuration on the hub")] = None,
    revision: Annotated[str | None, typer.Option(help="of the data set: branch, tag or commit")] = None,
    label: Annotated[str | None, typer.Option(help="the label's column (default label)")] = None,
    label_segment: Annotated[
        str | None, typer.Option(help="instead: the label is whether this segment is there")
    ] = None,
    label_share: Annotated[float, typer.Option(help="least share of the pixels that it must have")] = 0.0,
    label_dominant: Annotated[
        bool, typer.Option("--label-dominant", help="instead: the label is the class with the most pixels")
    ] = False,
    not_label: Annotated[
        list[str] | None, typer.Option(help="a class that is no such label (default void, background and their like)")
    ] = None,
    least_photos: Annotated[
        int | None, typer.Option(help="leave out photos of such a label with fewer (default 10)")
    ] = None,
    group: Annotated[str | None, typer.Option(help="a protected attribute's column")] = None,
    segmenter: Annotated[str | None, typer.Option(help="SegFormer by name or folder, for photos without masks")] = None,
    fit_segmenter: Annotated[bool, typer.Option(help="train one, or that one, on the photos with masks")] = False,
    segmenter_epochs: Annotated[int, typer.Option(help="of its training")] = 20,
    cub: Annotated[Path | None, typer.Option(help="folder of CUB-200-2011 as it is unpacked")] = None,
    by_class: Annotated[
        bool, typer.Option("--by-class/--own-split", help="CUB: half of the classes to each split, or its own split")
    ] = True,
    val: Annotated[float, typer.Option(help="share of the validation split")] = 0.2,
    split_by_label: Annotated[
        bool, typer.Option("--split-by-label", help="whole labels go to one split; --val is their share")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="take so many photos only, stratified by label")] = None,
    seed: Annotated[int, typer.Option(help="of the split, or of the portraits")] = 0,
) -> None:
    """Photos to a segment store."""
    sources = {"portraits": portraits, "folder": images, "dataset": dataset, "cub": cub}
    named = [kind for kind, source in sources.items() if source is not None]
    if len(named) != 1:
        raise InputError(
            "prepare takes one source of photos: --portraits N, --images FOLDER, --dataset NAME or --cub FOLDER"
        )
    # What only some sources take is handed to the others too if it is given: they refuse it.
    of_some: dict[str, Any] = {
        "label_dominant": label_dominant or None,
        "not_labels": not_label,
        "least_photos": least_photos,
        "split_by_label": split_by_label or None,
        "label": label,
        "label_segment": label_segment,
        "group": group,
    }
    photos = {"kind": named[0]} | {name: value for name, value in of_some.items() if value is not None}
    labelled = {"label_share": label_share, "classes": classes, "validation": val, "limit": limit, "seed": seed}
    with prefect_at_terminal():
        from flows.parameters import PrepareParameters
        from flows.prepare_data import prepare_data
        from infra.runners import task_runner

        if portraits is not None:
            photos |= {"spec": _portrait_spec(portraits, cause, shortcut, val, seed), "known_masks": known_masks}
        elif images is not None:
            photos |= {"images": images, "masks": masks, "labels": labels, **labelled}
        elif cub is not None:
            photos |= {"folder": cub, "by_class": by_class, "limit": limit, "seed": seed}
        else:
            photos |= {"name": dataset, "subset": subset, "revision": revision, **labelled}
            photos |= {"image": image_column, "mask": mask_column}
        making = {"segmenter": segmenter, "fit_segmenter": fit_segmenter, "segmenter_epochs": segmenter_epochs}
        try:
            parameters = PrepareParameters.model_validate({"photos": photos, "out": out, **making})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"{where}: {first['msg']}; got {first['input']!r}") from None
        prepare_data.with_options(task_runner=task_runner(load_settings()))(parameters)


def _portrait_spec(portraits: int, cause: str, shortcut: str, val: float, seed: int) -> "PortraitSpec":
    from tasks.segments.portraits import PortraitSpec

    validation = round(portraits * val / (1 - val)) if 0 < val < 1 else 0
    part = None if shortcut == "none" else shortcut
    return PortraitSpec(train=portraits, validation=validation, cause=cause, shortcut=part, seed=seed)

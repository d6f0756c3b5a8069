"""The command `heml prepare`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from flows.terminal import prefect_at_terminal
from infra.settings import load_settings
from tasks.errors import InputError


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
    fit_segmenter: Annotated[bool, typer.Option(help="train one on the photos that have masks")] = False,
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

    photos: dict[str, Any]
    split = {"group": group, "classes": classes, "validation": val, "limit": limit, "seed": seed}
    split |= {"label": label, "label_segment": label_segment, "label_share": label_share}
    of_masks = {
        "label_dominant": label_dominant,
        "not_labels": not_label,
        "least_photos": least_photos,
        "split_by_label": split_by_label,
    }
    # What only some sources take is handed to the others too if it is given: they refuse it.
    asked = {name: value for name, value in of_masks.items() if value is not None and value is not False}
    of_labels = {"label": label, "label_segment": label_segment, "group": group}
    named = {name: value for name, value in of_labels.items() if value is not None}
    if sum(source is not None for source in (portraits, images, dataset, cub)) != 1:
        raise InputError(
            "prepare takes one source of photos: --portraits N, --images FOLDER, --dataset NAME or --cub FOLDER"
        )
    with prefect_at_terminal():
        from flows.parameters import PrepareParameters  # noqa: PLC0415 (imports torch: seconds)
        from flows.prepare_data import prepare_data  # noqa: PLC0415 (imports Prefect: after the server has started)

        if portraits is not None:
            photos = {
                "kind": "portraits",
                "spec": _spec(portraits, cause, shortcut, val, seed),
                "known_masks": known_masks,
                **asked,
                **named,
            }
        elif images is not None:
            photos = {"kind": "folder", "images": images, "masks": masks, "labels": labels, **split, **asked}
        elif cub is not None:
            photos = {
                "kind": "cub",
                "folder": cub,
                "by_class": by_class,
                "limit": limit,
                "seed": seed,
                **asked,
                **named,
            }
        else:
            columns = {"image": image_column, "mask": mask_column}
            photos = {"kind": "dataset", "name": dataset, "subset": subset, "revision": revision, **columns}
            photos |= {**split, **asked}
        try:
            parameters = PrepareParameters.model_validate(
                {
                    "photos": photos,
                    "out": out,
                    "segmenter": segmenter,
                    "fit_segmenter": fit_segmenter,
                    "segmenter_epochs": segmenter_epochs,
                }
            )
        except ValidationError as error:
            raise InputError(_first(error)) from None
        load_settings()
        prepare_data(parameters)


def _spec(portraits: int, cause: str, shortcut: str, val: float, seed: int) -> Any:
    from tasks.segments.portraits import PortraitSpec  # noqa: PLC0415 (`heml --help` must not wait for it)

    validation = round(portraits * val / (1 - val)) if 0 < val < 1 else 0
    part = None if shortcut == "none" else shortcut
    return PortraitSpec(train=portraits, validation=validation, cause=cause, shortcut=part, seed=seed)


def _first(error: Any) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}; got {first['input']!r}"

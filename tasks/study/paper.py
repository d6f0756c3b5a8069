"""The paper's figures for its three case studies (HEML, Tables I to III), as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import yaml

from tasks.errors import InputError

PAPERS = files("tasks.study") / "papers"
# Table II, GPU memory on an RTX 4090; the same for all three studies.
PAPER_MEMORY = {"heml": "2-3 GB", "traditional": "2-3 GB", "avsl": "18-20 GB"}


@dataclass(frozen=True, kw_only=True)
class PaperStudy:
    """What the paper printed of one study.

    Attributes:
        title: its name there.
        label: what the metric is to tell apart.
        train, validation: images of each split; None where the paper does not say.
        table_1: row to P@1, P@2 and P@8 of the whole, in percent.
        table_2: method to its training time.
        table_3: node to P@1, P@2 and P@8, in percent; for CelebA only.
    """

    title: str
    label: str
    table_1: Mapping[str, tuple[float, float, float]]
    table_2: Mapping[str, str]
    table_3: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    train: int | None = None
    validation: int | None = None

    @property
    def stood_for(self) -> str:
        """The study's name and size, for the note on data that stand in for it."""
        if self.train is None:
            return self.title
        return f"{self.title} ({self.train:,} training and {self.validation:,} validation photos)"


def study_names() -> tuple[str, ...]:
    """Names of the studies; each has a preset tree of that name."""
    return tuple(sorted(Path(entry.name).stem for entry in PAPERS.iterdir() if entry.name.endswith(".yaml")))


def paper_study(name: str) -> PaperStudy:
    """What the paper printed of a study.

    Raises:
        InputError: there is no such study.
    """
    if name not in study_names():
        raise InputError(f"unknown study {name!r}: one of {', '.join(study_names())}")
    fields = yaml.safe_load((PAPERS / f"{name}.yaml").read_text(encoding="utf-8"))
    tables = {
        key: {row: tuple(figures) for row, figures in fields.get(key, {}).items()} for key in ("table_1", "table_3")
    }
    return PaperStudy(**{**fields, **tables})


def paper_cell(figures: Sequence[float] | None) -> str:
    """The paper's P@1, P@2 and P@8, in percent."""
    return "-" if figures is None else " ".join(f"{figure:.1f}" for figure in figures)

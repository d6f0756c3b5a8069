"""The page of one training run: what every node reached, on what data, with its SFAM sheets; one file, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.explanation.picture_uri import picture_uri, sheet_uri
from tasks.explanation.rendering import write_html
from tasks.explanation.report_record import NodeReport, TreeReport
from tasks.explanation.tree_view import tree_view

# Longest sides in pixels.
SAMPLE, SHEET = 224, 1400


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """A node as the template shows it.

    Attributes:
        index: its place in the record; ids are made of it, never of a name.
        node: the record's node.
        samples: data: addresses of its sample pictures.
        sheets: the same of its SFAM sheets.
        better_child: the child that has a higher P@1; None if there is none.
    """

    index: int
    node: NodeReport
    samples: tuple[str, ...]
    sheets: tuple[str, ...]
    better_child: str | None


def write_report(report: TreeReport, path: Path) -> None:
    """Writes the page of a training run."""
    tree = tree_view({node.name: node.children for node in report.nodes})
    nodes = [
        ReportView(
            index=index,
            node=node,
            samples=tuple(picture_uri(sample, longest=SAMPLE) for sample in node.samples),
            sheets=tuple(sheet_uri(sheet, longest=SHEET) for sheet in node.sheets),
            better_child=better_child(node, report.nodes),
        )
        for index, node in enumerate(report.nodes)
    ]
    write_html(
        "report.html",
        path,
        script="tree.js",
        report=report,
        root=report.root,
        tree=tree,
        nodes=nodes,
        ranking=(*reversed([node for node in report.nodes if node.children]), *best_first(report.nodes)),
        splits=list(report.images),
    )


def better_child(node: NodeReport, nodes: Sequence[NodeReport]) -> str | None:
    """The child with the highest P@1, if the node's own falls below it."""
    own = node.score(1)
    children = [other for other in nodes if other.name in node.children]
    scored = [(score.value, child.name) for child in children if (score := child.score(1)) is not None]
    if own is None or not scored:
        return None
    best, name = max(scored)
    return name if own.value < best else None


def best_first(nodes: Sequence[NodeReport]) -> list[NodeReport]:
    """The leaves below the root by falling P@1; those without one at the end, in their order."""
    leaves = [node for node in nodes[:-1] if not node.children]
    return sorted(leaves, key=lambda leaf: 1.0 if (score := leaf.score(1)) is None else -score.value)

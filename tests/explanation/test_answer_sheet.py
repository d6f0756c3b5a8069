from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from tasks.explanation import answer_sheet as module
from tasks.explanation.answer_sheet import (
    LARGE_TILE,
    Answer,
    Answers,
    episode_answers,
    retrieval_answers,
    side_by_side,
    write_answer_sheet,
)
from tasks.explanation.sfam import explain_pairs, to_picture_size
from tasks.explanation.sheet import CAPTION, TILE, TITLE, WIDTH, SheetRow
from tasks.metric.distances import squared_euclidean_distance
from tasks.metric.episodes import Episode, EpisodeOptions, sample_episodes
from tasks.metric.model import embed
from tasks.metric.training_data import NodeView, split_view

NAMES = tuple("abcdef")


def mixed(n: int = 60, labels: int = 6) -> tuple[Tensor, Tensor]:
    """Embeddings that are often, but not always, near their label's others; float [n, 5], and labels."""
    generator = torch.Generator().manual_seed(0)
    tags = torch.arange(n) % labels
    return torch.randn(labels, 5, generator=generator)[tags] + torch.randn(n, 5, generator=generator), tags


def test_retrieval_s_answers_are_the_nearest_and_the_nearest_of_the_own_label() -> None:
    embeddings, labels = mixed()
    distances = squared_euclidean_distance(embeddings, embeddings)
    answers = retrieval_answers(distances, labels, seed=0)
    assert len(answers.right) == len(answers.wrong) == 3
    for answer in (*answers.right, *answers.wrong):
        others = [i for i in range(60) if i != answer.query]
        nearest = min(others, key=lambda i: distances[answer.query, i].item())
        own = min(
            (i for i in others if labels[i] == labels[answer.query]), key=lambda i: distances[answer.query, i].item()
        )
        assert answer.given == (nearest,)
        assert answer.own == (() if answer in answers.right else (own,))
        assert (own == nearest) == (answer in answers.right)


def asked_labels(answers: tuple[Answer, ...], labels: Tensor) -> list[int]:
    return [int(labels[answer.query]) for answer in answers]


def test_answers_are_to_queries_of_different_labels_in_an_order_of_the_seed() -> None:
    embeddings, labels = mixed()
    distances = squared_euclidean_distance(embeddings, embeddings)
    by_seed = [retrieval_answers(distances, labels, seed=seed, count=6) for seed in range(4)]
    for answers in by_seed:
        for kind in (answers.right, answers.wrong):
            assert len(set(asked_labels(kind, labels))) == len(kind) > 3
    assert by_seed[0] == retrieval_answers(distances, labels, seed=0, count=6)
    assert all(one != other for one, other in pairwise(by_seed))
    assert retrieval_answers(distances, labels, seed=0, count=2).right == by_seed[0].right[:2]


def test_a_query_that_no_image_could_answer_is_not_shown() -> None:
    distances = torch.tensor([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]])
    answers = retrieval_answers(distances, torch.tensor([0, 0, 1]), seed=0)
    assert answers.wrong == () and asked_labels(answers.right, torch.tensor([0, 0, 1])) == [0]


@pytest.mark.parametrize("shots", [1, 3])
def test_few_shot_s_answers_are_the_support_of_the_class_that_was_given(shots: int) -> None:
    embeddings, labels = mixed()
    options = EpisodeOptions(ways=4, shots=shots, queries=5, episodes=30)
    episodes = list(sample_episodes(labels.numpy(), NAMES, options))
    answers = episode_answers(embeddings, episodes, "cosine")
    assert len(answers.right) == len(answers.wrong) == 3
    for kind in (answers.right, answers.wrong):
        assert len(set(asked_labels(kind, labels))) == 3
    right, wrong = set(), set()
    vectors = normalize(embeddings.double(), dim=1)
    for episode in episodes:
        support = [tuple(images) for images in episode.support.tolist()]
        means = torch.stack([vectors[list(images)].mean(dim=0) for images in support])
        for way, queries in enumerate(episode.queries.tolist()):
            for query in queries:
                given = int((normalize(means, dim=1) @ vectors[query]).argmax())
                kept = (Answer(query=query, given=support[given], own=() if given == way else support[way]),)
                (right if given == way else wrong).update(kept)
    assert set(answers.right) <= right and set(answers.wrong) <= wrong


def test_an_episode_gives_one_answer_of_a_kind_and_none_between_two_classes() -> None:
    embeddings = torch.tensor([[1.0, 0], [-1, 0], [2, 1], [0, 1], [-3, 1], [1, 5]])
    episode = Episode(labels=np.array([0, 1]), support=np.array([[0], [1]]), queries=np.array([[3, 2], [4, 5]]))
    once = episode_answers(embeddings, [episode], "cosine")
    assert once == Answers(right=(Answer(query=2, given=(0,)),), wrong=(Answer(query=5, given=(0,), own=(1,)),))
    twice = episode_answers(embeddings, [episode, episode], "cosine")
    assert [answer.query for answer in twice.right] == [2, 4]
    assert twice.wrong == once.wrong  # the label has been shown


def test_pictures_side_by_side() -> None:
    pictures = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, 1).repeat(6, 2).repeat(8, 3)
    whole = side_by_side(pictures, np.uint8(99).reshape(1))
    assert whole.shape == (3, 2 * 6 + 4, 3 * 8 + 2 * 4)
    for place in range(5):
        top, left = place // 3 * 10, place % 3 * 12
        assert (whole[:, top : top + 6, left : left + 8] == place).all()
    assert (whole == 99).sum() == whole.size - 5 * 3 * 6 * 8
    np.testing.assert_array_equal(side_by_side(pictures[:1], np.uint8(99).reshape(1)), pictures[0])
    maps = np.ones((2, 6, 8), dtype=np.float32)
    assert side_by_side(maps, np.zeros(1, np.float32)).shape == (6, 20)


@pytest.fixture
def view(grown: Any) -> NodeView:
    return split_view(grown.store, "validation", (2,), grown.options, grown.decoded)


def written(
    grown: Any, view: NodeView, answers: list[Answer], path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[SheetRow]:
    """The rows of the sheet that was written."""
    kept: list[SheetRow] = []
    write = module.write_sheet

    def keep(title: str, rows: list[SheetRow], path: Path, **shown: Any) -> None:
        kept.extend(rows)
        assert shown["sides"] == ("query", "answer")
        write(title, rows, path, **shown)

    monkeypatch.setattr(module, "write_sheet", keep)
    model = grown.trained.model("badge")
    embeddings = embed(model, view.batches("cpu"), "cpu")
    assert write_answer_sheet("badge", model, view, embeddings, answers, "squared_euclidean", "cpu", path)
    return kept


def test_a_sheet_of_pairs_shows_what_was_given_and_what_was_not(
    grown: Any, view: NodeView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [Answer(query=0, given=(2,)), Answer(query=1, given=(4,), own=(3,))]
    rows = written(grown, view, answers, tmp_path / "sheet.png", monkeypatch)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (WIDTH, TITLE + 3 * (TILE + CAPTION))
    model = grown.trained.model("badge")
    ids, names = view.data.image_ids, view.data.label_names
    for row, (a, b), words in zip(rows, [(0, 2), (1, 4), (1, 3)], ["given", "given", "its own label"], strict=True):
        pictures = view.pictures(np.array([a, b]), "cpu")
        np.testing.assert_array_equal(row.picture_a, pictures[0])
        np.testing.assert_array_equal(row.picture_b, pictures[1])
        assert (row.name_a, row.name_b) == (ids[view.indices[a]], ids[view.indices[b]])
        assert (row.label_a, row.label_b) == (names[view.labels[a]], names[view.labels[b]])
        pair = explain_pairs(model, pictures[:1], pictures[1:])
        # The targets come from a batch in bfloat16 where there is that.
        for shown, expected in ((row.map_a, pair.query), (row.map_b, pair.support)):
            np.testing.assert_allclose(shown, to_picture_size(expected, 32)[0], atol=0.05)
        x, y = embed(model, view.batches("cpu"), "cpu")[[a, b]].double()
        distance = (x / x.norm() - y / y.norm()).square().sum().item()
        assert row.note == f"{words}, distance {distance:.3f}"
        x, y = x / x.norm(), y / y.norm()
        bounded = ((x - y).var() / 2 / (x.var() + y.var())).item()
        assert row.distance == pytest.approx(bounded, abs=1e-6)


def test_a_sheet_of_several_support_images_shows_them_all(
    grown: Any, view: NodeView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [Answer(query=1, given=(2, 4, 6), own=(3, 5, 7))]
    rows = written(grown, view, answers, tmp_path / "sheet.png", monkeypatch)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (WIDTH + 4 * (LARGE_TILE - TILE), TITLE + 2 * (LARGE_TILE + CAPTION))
    vectors = normalize(embed(grown.trained.model("badge"), view.batches("cpu"), "cpu").double(), dim=1)
    for row, images in zip(rows, [(2, 4, 6), (3, 5, 7)], strict=True):
        assert row.picture_b.shape == (3, 68, 68) and row.map_b is not None and row.map_b.shape == (68, 68)
        for place, image in enumerate(images):
            top, left = place // 2 * 36, place % 2 * 36
            expected = view.pictures(np.array([image]), "cpu")[0]
            np.testing.assert_array_equal(row.picture_b[:, top : top + 32, left : left + 32], expected)
        assert row.name_b == "3 support images"
        assert row.label_b == view.data.label_names[int(view.labels[images[0]])]
        prototype = vectors[list(images)].mean(dim=0)
        expected = 2 - 2 * (vectors[1] @ prototype / prototype.norm()).item()
        assert row.note is not None and float(row.note.rsplit(" ")[-1]) == pytest.approx(expected, abs=6e-4)


def test_without_an_answer_nothing_is_written(grown: Any, view: NodeView, tmp_path: Path) -> None:
    model = grown.trained.model("badge")
    assert not write_answer_sheet("x", model, view, torch.ones(16, 16), [], "cosine", "cpu", tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.judging.curves import BLUR, STEPS, blurred, pixel_ranks, similarity_curves
from tasks.judging.similarity import cosine_scorer
from tasks.metric.model import EmbeddingModel, normalise


class Identity(EmbeddingModel):
    """Embeds a normalised picture as its pixels."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.flatten(1) * self.weight


def pictures(n: int, edge: int = 8, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 3, edge, edge), dtype=np.uint8))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float((a * b).sum() / norms) if norms else 0.0


def gaussian_by_a_loop(channel: np.ndarray, sigma: float) -> np.ndarray:
    """A channel, float [h, w], blurred over three standard deviations, reflecting at the edges."""
    radius = round(3 * sigma)
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    padded, blurry = np.pad(channel, radius, mode="reflect"), np.empty_like(channel)
    for y, x in np.ndindex(*channel.shape):
        blurry[y, x] = (kernel * padded[y : y + 2 * radius + 1, x : x + 2 * radius + 1]).sum()
    return blurry


@pytest.mark.parametrize("mode", ["insertion", "deletion"])
def test_curves_by_a_loop_over_pixels(mode: str) -> None:
    query, support = pictures(2), pictures(2, seed=1)
    maps = torch.from_numpy(np.random.default_rng(2).normal(size=(2, 8, 8))).float()
    got = similarity_curves(cosine_scorer(Identity(), support), query, maps, mode)  # type: ignore[arg-type]
    whole, target = normalise(query).numpy(), normalise(support).numpy()
    for i in range(2):
        order = sorted(np.ndindex(8, 8), key=lambda place: -maps[i][place].item())
        start = np.zeros_like(whole[i])
        if mode == "insertion":
            start = np.stack([gaussian_by_a_loop(channel, BLUR * 8) for channel in whole[i].astype(float)])
        curve = []
        for step in range(STEPS + 1):
            shown = whole[i].copy() if mode == "deletion" else start.copy()
            for y, x in order[: 64 * step // STEPS]:
                shown[:, y, x] = 0 if mode == "deletion" else whole[i][:, y, x]
            curve.append(cosine(shown, target[i]))
        np.testing.assert_allclose(got.similarity[i, :, 0], curve, atol=2e-4)
        area = np.trapezoid(curve, dx=1 / STEPS)
        assert got.area[i, 0].item() == pytest.approx(area, abs=2e-4)
        scaled = np.trapezoid((np.array(curve) - min(curve)) / (max(curve) - min(curve)), dx=1 / STEPS)
        assert got.normalised_area[i, 0].item() == pytest.approx(scaled, abs=2e-3)


def test_the_better_map_has_the_smaller_deletion_and_the_larger_insertion_area() -> None:
    # The pair shares its left half and is opposite in the right one.
    query = pictures(1, 16)
    support = query.clone()
    support[..., 8:] = 255 - support[..., 8:]
    right = torch.zeros(1, 16, 16)
    right[..., 8:] = 1
    areas = {
        name: [
            similarity_curves(cosine_scorer(Identity(), support), query, maps, mode).area.item()
            for mode in ("deletion", "insertion")
        ]
        for name, maps in (("good", 1 - right), ("bad", right))
    }
    assert areas["good"][0] < areas["bad"][0]
    assert areas["good"][1] > areas["bad"][1]


def test_ranks_put_the_highest_first_and_break_ties_alike_for_all_maps() -> None:
    maps = torch.tensor([[[3.0, 1.0], [2.0, 4.0]]])
    assert pixel_ranks(maps).tolist() == [[[0.25, 0.75], [0.5, 0.0]]]
    flat = pixel_ranks(torch.zeros(2, 8, 8))
    assert sorted(flat[0].flatten().tolist()) == [i / 64 for i in range(64)]
    assert torch.equal(flat[0], flat[1])
    assert not torch.equal(flat[0].flatten(), torch.arange(64) / 64)


def test_a_constant_curve_has_no_scaled_area() -> None:
    black = torch.full((1, 3, 8, 8), 0, dtype=torch.uint8)
    model = Identity()
    with torch.no_grad():
        model.weight.zero_()
    got = similarity_curves(cosine_scorer(model, black), black, torch.zeros(1, 8, 8), "deletion")
    assert got.area.item() == 0
    assert got.normalised_area.isnan().all()


def test_a_blur_keeps_a_constant_and_the_mean_of_a_wide_picture() -> None:
    assert torch.allclose(blurred(torch.full((1, 3, 12, 12), 2.0)), torch.full((1, 3, 12, 12), 2.0))


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \[1, 4, 4\] for \[1, 3, 8, 8\]"):
        similarity_curves(cosine_scorer(Identity(), pictures(1)), pictures(1), torch.zeros(1, 4, 4), "deletion")
    with pytest.raises(ValueError, match="finite maps"):
        similarity_curves(
            cosine_scorer(Identity(), pictures(1)), pictures(1), torch.full((1, 8, 8), torch.nan), "deletion"
        )

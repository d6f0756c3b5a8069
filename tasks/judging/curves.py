"""Insertion and deletion: how the similarity of a pair changes as the query's pixels come or go in a map's order.

After Petsiuk et al., RISE (BMVC 2018), with the similarity to a fixed support in place of a class score (our reading).
A map is the better, the faster the similarity rises as its first pixels are inserted, and falls as they are deleted.
"""

from typing import Literal, NamedTuple, get_args

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from tasks.judging.similarity import Scorer
from tasks.metric.model import normalise

Mode = Literal["insertion", "deletion"]
MODES: tuple[Mode, ...] = get_args(Mode)
STEPS = 16  # shares of the pixels: 0, 1/16, ..., 1
BLUR = 0.15  # the blurred picture's standard deviation, as a share of the edge: no part can be told in it


class Curves(NamedTuple):
    """Curves of one mode.

    Attributes:
        similarity: float32 [n, STEPS + 1, k], each of the k similarities at each share of inserted or deleted pixels.
        area: float32 [n, k], under the curve over [0, 1] by trapezoids, in [-1, 1].
        normalised_area: float32 [n, k], of the curve scaled to [0, 1] by its own minimum and maximum; NaN if constant.
    """

    similarity: Tensor
    area: Tensor
    normalised_area: Tensor


def similarity_curves(scores: Scorer, query: Tensor, maps: Tensor, mode: Mode) -> Curves:
    """Insert or delete the query's pixels, those with the highest value in the map first.

    Insertion starts from the blurred query, deletion ends in the mean colour that pictures are normalised by. Pixels of
    equal value are taken in the order of an unseeded hash of their place, which is the same for all maps: neither rows
    nor columns go first.

    Args:
        scores: of k similarities to each query's support.
        query: uint8 [n, 3, h, w].
        maps: float [n, h, w], finite, of the queries.
        mode: "insertion" or "deletion".

    Raises:
        ValueError: the maps do not fit the queries, or are not finite.
    """
    if maps.shape != (len(query), *query.shape[2:]):
        raise ValueError(f"curves need maps [n,h,w] of the queries; got {list(maps.shape)} for {list(query.shape)}")
    if not torch.isfinite(maps).all():
        raise ValueError("curves need finite maps; got NaN or infinity")
    ranks = pixel_ranks(maps)
    pictures = normalise(query)
    other = torch.zeros_like(pictures) if mode == "deletion" else blurred(pictures)
    values = []
    for step in range(STEPS + 1):
        first = (ranks < step / STEPS)[:, None]
        shown = torch.where(first, other, pictures) if mode == "deletion" else torch.where(first, pictures, other)
        values.append(scores(shown))
    similarity = torch.stack(values, dim=1)
    low, high = similarity.amin(dim=1), similarity.amax(dim=1)
    area = torch.trapezoid(similarity, dx=1 / STEPS, dim=1)
    scaled = torch.where(high > low, (area - low) / (high - low), torch.nan)
    return Curves(similarity=similarity, area=area, normalised_area=scaled)


def pixel_ranks(maps: Tensor) -> Tensor:
    """Each pixel's place in its map's order, highest value first, as a share: float [n, h, w] in [0, 1)."""
    flat = maps.flatten(1)
    count = flat.shape[1]
    # A fixed shuffle of the places decides between equal values.
    shuffle = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    order = shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]
    places = torch.arange(count).expand_as(order)
    return torch.empty_like(places).scatter_(1, order, places).view(maps.shape) / count


def blurred(pictures: Tensor) -> Tensor:
    """Gaussian blur, reflecting at the edges: float [n, 3, h, w] -> the same shape."""
    edge = pictures.shape[-1]
    sigma = BLUR * edge
    radius = min(round(3 * sigma), edge - 1)
    return torch.from_numpy(gaussian_filter(pictures.numpy(), sigma, mode="mirror", radius=radius, axes=(2, 3)))

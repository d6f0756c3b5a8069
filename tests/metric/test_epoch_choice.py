"""The epoch that is kept: the latest within the best one's standard error."""

import numpy as np
import pytest

from tasks.metric.epoch_choice import as_good, standard_error


def test_the_error_is_the_standard_deviation_of_drawn_shares() -> None:
    generator = np.random.default_rng(0)
    for share, n in ((0.9, 320), (0.5, 40)):
        smoothed = (share * n + 1) / (n + 2)
        drawn = generator.binomial(n + 2, smoothed, size=200_000) / (n + 2)
        assert standard_error(share, n) == pytest.approx(drawn.std(), rel=0.01)


def test_a_share_of_all_or_none_has_an_error_which_falls_with_the_number_of_images() -> None:
    assert 0 < standard_error(1, 300) < standard_error(1, 30) < standard_error(1, 3) < 0.25
    assert standard_error(0, 30) == pytest.approx(standard_error(1, 30))


def test_an_epoch_is_as_good_within_the_error_of_the_best() -> None:
    error = standard_error(0.9, 100)
    assert as_good(0.95, 0.9, 100)
    assert as_good(0.9 - 0.99 * error, 0.9, 100)
    assert not as_good(0.9 - 1.01 * error, 0.9, 100)


def test_without_images_the_last_epoch_is_as_good_as_any() -> None:
    assert as_good(0.0, 0.0, 0)

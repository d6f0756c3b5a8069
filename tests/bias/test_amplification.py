import numpy as np
import pytest

from tasks.bias.amplification import amplification


def one_hot(values: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: np.array([float(value == name) for value in values]) for name in sorted(set(values))}


def by_definition(
    together: dict[tuple[str, str], bool], given: tuple[str, ...], true: tuple[str, ...], said: tuple[str, ...]
) -> float:
    """1 / (|A| |T|) sum of y D + (1 - y)(-D), as the paper prints it."""
    total = 0.0
    kinds, names = sorted(set(given)), sorted(set(true))
    for kind in kinds:
        photos = [i for i, value in enumerate(given) if value == kind]
        for name in names:
            excess = sum(said[i] == name for i in photos) / len(photos) - sum(true[i] == name for i in photos) / len(
                photos
            )
            total += excess if together[kind, name] else -excess
    return total / len(kinds) / len(names)


TRAIN = (("cook",) * 4 + ("dive",) * 4, ("f", "f", "f", "m", "m", "m", "m", "f"))  # f goes with cook
LABELS = ("cook", "cook", "dive", "dive", "cook", "dive", "dive")
GROUPS = ("f", "m", "f", "m", "f", "m", "f")
SAID = ("cook", "dive", "cook", "dive", "cook", "dive", "cook")
SAID_GROUPS = ("f", "f", "f", "m", "f", "m", "m")


def test_both_directions_by_the_definition() -> None:
    found = amplification(TRAIN, LABELS, GROUPS, one_hot(SAID), one_hot(SAID_GROUPS))
    assert found is not None
    together = {("f", "cook"): True, ("f", "dive"): False, ("m", "cook"): False, ("m", "dive"): True}
    turned = {(label, group): value for (group, label), value in together.items()}
    assert found.group_to_label == pytest.approx(by_definition(together, GROUPS, LABELS, SAID))
    assert found.label_to_group == pytest.approx(by_definition(turned, LABELS, GROUPS, SAID_GROUPS))
    assert found.group_to_label > 0.2
    low, high = found.group_to_label_interval
    assert -1 <= low < found.group_to_label < high <= 1


def test_the_truth_amplifies_nothing() -> None:
    found = amplification(TRAIN, LABELS, GROUPS, one_hot(LABELS), one_hot(GROUPS))
    assert found is not None
    assert (found.group_to_label, found.label_to_group) == (0, 0)
    assert found.group_to_label_interval == (0, 0)


def test_what_goes_against_training_counts_below_zero() -> None:
    against = tuple("dive" if group == "f" else "cook" for group in GROUPS)
    found = amplification(TRAIN, LABELS, GROUPS, one_hot(against), one_hot(GROUPS))
    assert found is not None and found.group_to_label < 0


def test_splits_without_a_group_in_common_have_none() -> None:
    elsewhere = tuple(f"other {group}" for group in GROUPS)
    assert amplification(TRAIN, LABELS, elsewhere, one_hot(SAID), one_hot(SAID_GROUPS)) is None

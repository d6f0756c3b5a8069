from dataclasses import replace

from tasks.study.cost_table import cost_table
from tasks.study.paper import paper_study
from tasks.study.step_cost import StepCost
from tests.study.row_results import GOOD, node, result


def test_table_2_adds_the_seconds_up_and_names_the_settings() -> None:
    cost = StepCost(
        method="avsl", trunk="resnet50", size=224, batch=180, device="cpu", seconds=1.0, peak_memory=16 * 10**9
    )
    tree = result("triplet-heml", node(GOOD), hair=node(GOOD, seconds=5.0))
    failed = replace(cost, method="heml", peak_memory=0, failed="no memory")
    table = cost_table(paper_study("celeba"), {"triplet-heml": [tree]}, {"published": [failed, cost]})
    assert table.rows[0] == (
        "heml",
        "15 s",
        "-",
        "not measured: no memory (resnet50, 224 px, batch 180, cpu)",
        "4-6 min",
        "2-3 GB",
    )
    assert table.rows[2] == (
        "avsl",
        "-",
        "-",
        "1.00 s, 16.00 GB (resnet50, 224 px, batch 180, cpu)",
        "2-3 min",
        "18-20 GB",
    )


def test_nothing_measured_is_no_row() -> None:
    assert cost_table(paper_study("celeba"), {}, {}).rows == ()

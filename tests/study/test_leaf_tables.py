from tasks.metric.compare import Difference
from tasks.metric.controls import Controlled
from tasks.study.leaf_tables import framing_table, leak_table
from tests.study.row_results import GOOD, POOR, node, precision, result


def test_the_leak_sets_each_fill_beside_the_controls() -> None:
    above = Difference(value=0.1, interval=(0.05, 0.15), n=40)
    controls = Controlled(shape=precision(0.6), background=precision(0.8), above=above)
    nose = node(POOR, controls=controls)
    table = leak_table({name: result(name, node(GOOD), nose=nose) for name in ("fill-background", "fill-black")})
    assert table.columns[:3] == ("leaf", "fill-background: P@1", "fill-background: above controls")
    assert table.rows[0] == (
        "nose",
        "50.0 (45.0 to 55.0)",
        "+10.0 (+5.0 to +15.0)",
        "50.0 (45.0 to 55.0)",
        "+10.0 (+5.0 to +15.0)",
        "60.0 (55.0 to 65.0)",
        "80.0 (75.0 to 85.0)",
    )


def test_framing_compares_the_leaves_that_are_cropped() -> None:
    crop = node(GOOD, framing="crop", size=32, seconds=8.0, pictures=200)
    auto = result("framing-auto", node(GOOD), nose=crop, skin=node(GOOD))
    full = result("framing-full", node(GOOD), nose=node(POOR), skin=node(GOOD))
    table = framing_table(full, auto)
    [nose] = table.rows
    assert nose[:2] == ("nose", "32 px")
    assert nose[4].startswith("+50.0 (") and nose[5] == "0.40"
    assert "skin" in table.notes[0]

"""docs/primitives.md is what the tables of rules say."""

from pathlib import Path

from grilly.runtime import primitives


def test_the_page_is_up_to_date():
    page = Path(__file__).parents[2] / "docs" / "primitives.md"
    assert page.read_text() == primitives.page(), "run: python -m grilly.runtime.primitives > docs/primitives.md"


def test_every_row_has_a_kind_that_the_page_explains():
    assert {kind for _, kind, _ in primitives.rows()} == set(primitives.KINDS)


def test_what_is_said_of_single_primitives_names_primitives():
    named = primitives.FLOATS | primitives.INTEGERS | primitives.BITS | primitives.KEYS | primitives.FLAT
    assert named <= {name for name, _, _ in primitives.rows()}

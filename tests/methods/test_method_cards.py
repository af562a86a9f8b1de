import pytest

from fastssl.methods import METHODS
from fastssl.methods.cards import method_cards
from fastssl.report.arms import METHOD_LABELS

CARDS = method_cards()


def test_cards_are_those_of_the_registered_methods():
    assert [card.kind for card in CARDS] == list(METHODS)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.kind)
def test_head_of_a_methods_file_says_name_idea_and_paper(card):
    assert 0 < len(card.name) <= 30
    assert 20 < len(card.idea) <= 160
    assert ("arXiv" in card.paper) != (card.kind in ("supervised", "random"))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.kind)
def test_method_is_called_the_same_in_tables(card):
    assert METHOD_LABELS[card.kind].lower() == card.name.lower().removeprefix("the ")

from pathlib import Path

import pytest

from fastssl.data import cards
from fastssl.data.cards import card_names, cards_table, load_card
from fastssl.errors import InputError

README = Path(__file__).parents[2] / "datasets" / "README.md"


def test_every_named_dataset_has_a_card():
    wanted = "cifar10 cifar100 demo demo_photos fashion_mnist flowers102 food101 imagenet imagenet100 stl10 svhn"
    assert card_names() == [*wanted.split(), "tiny_imagenet"]


@pytest.mark.parametrize("name", card_names())
def test_card_is_consistent(name):
    card = load_card(name)
    assert card.source
    assert card.licence
    assert all(count > 0 for count in card.splits.values())
    assert len(card.class_names) in (0, card.num_classes)
    assert (card.mean is None) == (card.std is None)
    assert card.options().fraction == 1.0


@pytest.mark.parametrize("name", [name for name in card_names() if load_card(name).torchvision is not None])
def test_card_names_a_torchvision_class(name):
    from torchvision import datasets

    assert hasattr(datasets, load_card(name).torchvision)


def test_unknown_name_gets_the_nearest_in_one_line():
    with pytest.raises(InputError, match=r"'cifar_10' is unknown; did you mean cifar10") as caught:
        load_card("cifar_10")
    assert "\n" not in str(caught.value)


def test_card_with_an_unknown_key_is_refused(tmp_path, monkeypatch):
    (tmp_path / "odd.toml").write_text('title = "x"\nsauce = "y"\n')
    monkeypatch.setattr(cards, "_PACKAGED", tmp_path)
    with pytest.raises(InputError, match=r"odd\.toml is not a dataset card .*sauce"):
        load_card("odd")


def test_readme_table_is_what_the_cards_say():
    assert README.read_text().endswith(cards_table())

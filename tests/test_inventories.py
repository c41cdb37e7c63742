"""Other projects' inventories: kept where they can be had, done without where not."""

import pytest

import inventories


@pytest.mark.parametrize(
    "name", ["torch", "torch.Tensor", "torch.nn.LSTM", "int", "DeprecationWarning", "pathlib.Path"]
)
def test_names_that_exist_are_found(name):
    assert inventories.can_import(name)


@pytest.mark.parametrize("name", ["torch.nope", "nope", "smallport.lstm.Corpora", "", "torch..nn"])
def test_names_that_do_not_exist_are_not(name):
    assert not inventories.can_import(name)


def test_an_inventory_is_fetched_once(site, tmp_path):
    site.reply("/objects.inv", b"inventory")
    copy = inventories.fetch("project", site.url, tmp_path)
    assert copy.read_bytes() == b"inventory"
    site.reply("/objects.inv", b"another")
    assert inventories.fetch("project", site.url, tmp_path).read_bytes() == b"inventory"
    assert [file.name for file in tmp_path.iterdir()] == ["project.inv"]


def test_an_inventory_that_cannot_be_had_is_not_asked_for_again(site, tmp_path):
    assert inventories.fetch("project", f"{site.url}/gone", tmp_path) is None
    site.reply("/gone/objects.inv", b"inventory")
    assert inventories.fetch("project", f"{site.url}/gone", tmp_path) is None

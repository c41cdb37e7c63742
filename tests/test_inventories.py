"""Other projects' inventories: kept where they can be had, done without where not."""

import pytest
from docutils import nodes

import inventories


@pytest.mark.parametrize(
    "name", ["torch", "torch.Tensor", "torch.nn.LSTM", "int", "DeprecationWarning", "pathlib.Path"]
)
def test_names_that_exist_are_found(name):
    assert inventories.can_import(name)


@pytest.mark.parametrize("name", ["torch.nope", "nope", "smallport.lstm.Corpora", "", "torch..nn"])
def test_names_that_do_not_exist_are_not(name):
    assert not inventories.can_import(name)


@pytest.mark.parametrize(
    ("domain", "name", "kept"),
    [
        ("py", "torch.Tensor", True),
        ("py", "torch.nope", False),
        ("std", "torch.Tensor", False),
        ("py", "smallport.quantize.state_dict_megabytes", False),
        ("py", "smallport.nope", False),
    ],
)
def test_a_name_without_a_target_is_kept_if_it_is_anothers(domain, name, kept):
    shown = nodes.literal(text=name)
    found = inventories.literal_if_importable(
        None, None, {"refdomain": domain, "reftarget": name}, shown
    )
    assert found is (shown if kept else None)


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

"""Weights on disk: what was saved comes back, and what was damaged is refused in one sentence."""

import json

import pytest
import torch
from safetensors.torch import save_file

from pursamere_viz.models import checkpoints
from pursamere_viz.models.checkpoints import content_hash, load_network, load_tensors, save_tensors

REMEDY = "make weights"


@pytest.fixture
def tensors():
    return {
        "weight": torch.arange(6.0).reshape(2, 3),
        "half": torch.ones(2, dtype=torch.float16),
        "count": torch.tensor(7),
        "empty": torch.zeros(0),
        "view": torch.arange(12.0).reshape(3, 4).T[1:],
    }


@pytest.fixture
def path(tmp_path, tensors):
    path = tmp_path / "nested" / "weights.safetensors"
    save_tensors(path, tensors, {"architecture": "none", "options": {"width": 3}, "note": "é"})
    return path


def test_round_trip(path, tensors):
    found, card = load_tensors(path, REMEDY)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors)
    fingerprint = card.pop("sha256")
    assert card == {"architecture": "none", "options": {"width": 3}, "note": "é"}
    assert fingerprint == content_hash(tensors, {name: json.dumps(value) for name, value in card.items()})
    assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors"]


def test_saving_again_replaces(path):
    save_tensors(path, {"only": torch.ones(1)}, {})
    assert list(load_tensors(path, REMEDY)[0]) == ["only"]


def test_shared_memory_is_saved_twice(tmp_path):
    tensor = torch.ones(2)
    save_tensors(tmp_path / "w", {"a": tensor, "b": tensor}, {})
    assert len(load_tensors(tmp_path / "w", REMEDY)[0]) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda t: {**t, "weight": t["weight"] + 1},
        lambda t: {**t, "weight": t["weight"].reshape(3, 2)},
        lambda t: {**t, "weight": t["weight"].int()},
        lambda t: {("renamed" if name == "weight" else name): value for name, value in t.items()},
        lambda t: {name: value for name, value in t.items() if name != "count"},
    ],
    ids=["value", "shape", "type", "name", "missing"],
)
def test_hash_sees_every_part_and_not_the_order(tensors, change):
    assert content_hash(change(tensors), {}) != content_hash(tensors, {})
    assert content_hash(dict(reversed(tensors.items())), {}) == content_hash(tensors, {})


def refused(path) -> str:
    """The message of the refusal: one line that names the file and the command."""
    with pytest.raises(ValueError, match="make") as refusal:
        load_tensors(path, REMEDY)
    message = str(refusal.value)
    assert str(path) in message
    assert message.endswith(REMEDY)
    assert "\n" not in message
    return message


def test_every_flipped_byte_of_the_tensors_is_noticed(path):
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    assert len(whole) - start > 50
    for position in range(start, len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert "damaged" in refused(path)


def test_a_damaged_header_never_gives_other_tensors_or_another_error(path, tensors):
    """A flipped byte of the header is refused, or harms the description alone."""
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    named = []
    for position in range(start):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            found, _ = load_tensors(path, REMEDY)
        except ValueError as refusal:
            named.append(str(path) in str(refusal))
        else:
            assert content_hash(found, {}) == content_hash(tensors, {})
    assert all(named)
    assert len(named) > start // 2


def test_a_changed_option_is_noticed(path):
    whole = path.read_bytes()
    changed = whole.replace(b'width\\": 3', b'width\\": 4')
    assert changed != whole
    path.write_bytes(changed)
    assert "damaged" in refused(path)


@pytest.mark.parametrize("length", [0, 4, 20, 300, -1])
def test_a_truncated_file_is_refused(path, length):
    path.write_bytes(path.read_bytes()[:length])
    assert "damaged" in refused(path)


def test_other_files_are_refused(tmp_path):
    missing = tmp_path / "none.safetensors"
    assert "missing" in refused(missing)
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"\x80\x04 a pickle, say" * 40)
    assert "damaged" in refused(garbage)
    unhashed = tmp_path / "unhashed.safetensors"
    save_file({"a": torch.ones(1)}, unhashed)
    assert "does not match its hash" in refused(unhashed)
    undescribed = tmp_path / "undescribed.safetensors"
    save_file(
        {"a": torch.ones(1)},
        undescribed,
        metadata={"sha256": content_hash({"a": torch.ones(1)}, {"options": "{"}), "options": "{"},
    )
    assert "description" in refused(undescribed)


@pytest.mark.parametrize(
    "card",
    [
        {"architecture": "image_classifier", "options": {"channels": 1, "classes": 10, "width": 8}},
        {"architecture": "mlp_score_network", "options": {"channels": 1, "size": 8}},
        {"architecture": "image_classifier", "options": {"depth": 3}},
        {"architecture": "transformer", "options": {}},
        {"architecture": "image_classifier"},
        {},
    ],
    ids=json.dumps,
)
def test_weights_of_another_architecture_are_refused(tmp_path, monkeypatch, classifier, card):
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    save_tensors(tmp_path / "digits_classifier.safetensors", classifier.state_dict(), card)
    with pytest.raises(
        ValueError, match=r"digits_classifier\.safetensors does not fit .* python -m pursamere_viz train digits$"
    ):
        load_network("digits", "classifier")


def test_missing_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    with pytest.raises(ValueError, match=r"is missing; make it with: python -m pursamere_viz train digits$"):
        load_network("digits", "score")


def test_shipped_networks_carry_their_card(classifier, score_network):
    for network in (classifier, score_network):
        assert network.card["data_set"] == "digits"
        described = {name: json.dumps(value) for name, value in network.card.items() if name != "sha256"}
        assert network.card["sha256"] == content_hash(network.state_dict(), described)


def test_a_loaded_network_keeps_its_own_weights_whatever_becomes_of_another():
    first, second = load_network("digits", "classifier"), load_network("digits", "classifier")
    kept = {name: value.clone() for name, value in second.state_dict().items()}
    first.double()
    for parameter in first.parameters():
        parameter.zero_()
    first.card["options"]["width"] = 0
    assert all(torch.equal(value, kept[name]) for name, value in second.state_dict().items())
    again = load_network("digits", "classifier")
    assert all(torch.equal(value, kept[name]) for name, value in again.state_dict().items())
    assert again.card["options"]["width"] == 32

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from nano.design.presets import preset
from nano.errors import DataError
from nano.networks.catalog import BASELINES
from nano.networks.resnet import ResNet18
from nano.networks.start import skeleton, started
from nano.networks.weights import load_weights, read_tensors

Kept = dict[str, Tensor]
KINDS = (".safetensors", ".pt")


def kept(path: Path, tensors: Kept) -> Path:
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return path


@pytest.fixture
def network() -> nn.Module:
    return started(preset("depthnet-tiny"), (32, 32), 0)


@pytest.fixture
def other() -> Kept:
    return started(preset("depthnet-tiny"), (32, 32), 1).state_dict()


def equal(left: Kept, right: Kept) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["", "module.", "module.network."])
def test_a_whole_network_is_filled(
    network: nn.Module, other: Kept, kind: str, prefix: str, tmp_path: Path
) -> None:
    named = {prefix + name: tensor for name, tensor in other.items()}
    loaded = load_weights(network, kept(tmp_path / f"all{kind}", named))
    assert equal(network.state_dict(), other)
    assert (loaded.part, loaded.missing, loaded.unexpected) == ("", (), ())
    assert loaded.told().endswith(f"{len(other)} tensors, the whole network")


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_a_checkpoint_around_the_tensors_is_seen_through(
    network: nn.Module, other: Kept, wrapper: str, tmp_path: Path
) -> None:
    torch.save({wrapper: other, "epoch": 3}, tmp_path / "checkpoint.tar")
    load_weights(network, tmp_path / "checkpoint.tar")
    assert equal(network.state_dict(), other)


def test_an_encoder_with_a_classifier_fills_the_encoder_alone(tmp_path: Path) -> None:
    network = started(BASELINES["resnet18"], (64, 64), 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    encoder = {name: torch.full_like(t, 2) for name, t in ResNet18().state_dict().items()}
    old = {name: t for name, t in encoder.items() if not name.endswith("num_batches_tracked")}
    classifier = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    loaded = load_weights(network, kept(tmp_path / "resnet18.safetensors", old | classifier))
    assert (loaded.part, loaded.unexpected) == ("encoder", ("fc.bias", "fc.weight"))
    assert len(loaded.missing) == 20  # counters of batches, which no one needs
    assert loaded.told().endswith(
        "100 tensors, into encoder, the rest is fresh; 2 unexpected: fc.bias, fc.weight"
    )
    after = network.state_dict()
    for name, tensor in after.items():
        filled = name.startswith("encoder.") and not name.endswith("num_batches_tracked")
        assert (tensor == 2).all() if filled else torch.equal(tensor, before[name])


def torchvision_names(blocks: tuple[int, ...]) -> set[str]:
    """What a ResNet-18's state_dict is called there, written from its documentation."""
    names = {"conv1.weight"}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names |= {f"bn1.{tensor}" for tensor in norm}
    for layer, depth in enumerate(blocks, start=1):
        for block in range(depth):
            place = f"layer{layer}.{block}"
            for number in (1, 2):
                names |= {f"{place}.conv{number}.weight"}
                names |= {f"{place}.bn{number}.{tensor}" for tensor in norm}
            if layer > 1 and block == 0:
                names |= {f"{place}.downsample.0.weight"}
                names |= {f"{place}.downsample.1.{tensor}" for tensor in norm}
    return names


def test_the_resnet_encoder_bears_torchvision_s_names() -> None:
    assert set(ResNet18().state_dict()) == torchvision_names((2, 2, 2, 2))


@pytest.mark.parametrize("prefix", ["encoder.", "module.encoder.", "encoder.original.features."])
def test_a_file_of_an_encoder_alone_fills_it_under_any_prefix(prefix: str, tmp_path: Path) -> None:
    network = started(BASELINES["resnet18"], (64, 64), 0)
    encoder = {prefix + name: torch.full_like(t, 2) for name, t in ResNet18().state_dict().items()}
    loaded = load_weights(network, kept(tmp_path / "encoder.pt", encoder))
    assert (loaded.part, loaded.unexpected) == ("encoder", ())
    assert (network.state_dict()["encoder.layer1.0.conv1.weight"] == 2).all()


@pytest.mark.slow
def test_a_densenet_as_torchvision_publishes_it_fits(tmp_path: Path) -> None:
    """Its file says ``denselayer1.norm.1``; the classifier is left over."""
    network = skeleton(BASELINES["densedepth"], (64, 64)).to_empty(device="cpu")
    names = {n.removeprefix("encoder.") for n in network.state_dict() if n.startswith("encoder.")}
    layers = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])")
    assert sum(bool(layers.search(name)) for name in names) > 800
    published = {
        "features." + layers.sub(r"\1.\2", name): torch.full_like(
            network.state_dict()["encoder." + name], 2
        )
        for name in names
    }
    loaded = load_weights(
        network, kept(tmp_path / "d.pth", published | {"classifier.bias": torch.zeros(1000)})
    )
    assert (loaded.part, loaded.missing) == ("encoder", ())
    assert loaded.unexpected == ("classifier.bias",)


def test_fastdepth_by_its_authors_names_fits(tmp_path: Path) -> None:
    baseline = BASELINES["fastdepth-pruned"]
    network, other = (started(baseline, (32, 32), seed) for seed in (0, 1))
    parts = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1"}

    def authors(name: str) -> str:
        name = re.sub(r"^up(\d)\.(\d)", lambda m: f"decode_conv{m[1]}.{parts[m[2]]}", name)
        return name.replace("head.", "decode_conv6.")

    published = {authors(name): tensor for name, tensor in other.state_dict().items()}
    assert sum(name.startswith("decode_conv") for name in published) > 60
    loaded = load_weights(network, kept(tmp_path / "fastdepth.pt", published))
    assert (loaded.part, loaded.missing, loaded.unexpected) == ("", (), ())
    assert equal(network.state_dict(), other.state_dict())


def test_a_deeper_network_s_weights_are_refused(tmp_path: Path) -> None:
    network = started(BASELINES["resnet18"], (64, 64), 0)
    deeper = ResNet18().state_dict()
    more = {f"layer1.2.{n[9:]}": t for n, t in deeper.items() if n.startswith("layer1.1.")}
    with pytest.raises(DataError, match=r"12 tensors more: layer1\.2.*another network's weights"):
        load_weights(network, kept(tmp_path / "resnet34.pt", deeper | more))


Change = Callable[[Kept], Kept]
CHANGES: list[tuple[Change, str]] = [
    (
        lambda t: {n: v for n, v in t.items() if n != "head.bias"},
        r"fits the whole network best, but of \d+ tensors 1 missing: head\.bias; 0 unexpected",
    ),
    (
        lambda t: {("last" + n[4:] if n.startswith("head") else n): v for n, v in t.items()},
        r"of \d+ tensors 2 missing: head.bias, head.weight; 2 unexpected: last.bias, last",
    ),
    (lambda t: t | {"head.bias": torch.zeros(2)}, r"head.bias has shape \(2,\), should have \(1,"),
    (lambda t: {"else": torch.zeros(1)}, "no tensor of it belongs to this network; it has else"),
    (lambda t: t | {"head.bias": torch.full((1,), torch.nan)}, "head.bias holds NaN or infinity"),
    (
        lambda t: t | {"head.bias": torch.zeros(1, dtype=torch.int8)},
        "head.bias is torch.int8, should be torch.float32; quantised",
    ),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_named_and_nothing_is_changed(
    network: nn.Module, other: Kept, change: Change, words: str, kind: str, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(DataError, match=words):
        load_weights(network, kept(tmp_path / f"wrong{kind}", change(other)))
    assert equal(network.state_dict(), before)


class Trap:
    """Runs a command where a pickle of it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch sprung",)


def test_a_pickle_is_refused_and_never_run(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(DataError, match="holds more than tensors"):
        load_weights(network, tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.safetensors", b"\x08", "not a whole safetensors file"),
        ("text.pt", b"hello", "not a file that torch.save wrote"),
        ("empty.pt", b"", "not a file that torch.save wrote"),
        ("cut.pt", b"PK\x03\x04", "not a file that torch.save wrote"),
    ],
)
def test_a_damaged_file_is_one_clear_error(
    network: nn.Module, name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: {words}"):
        load_weights(network, tmp_path / name)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60), kind=st.sampled_from(KINDS))
@example(content=b"\x80\x00", kind=".pt")  # a pickle protocol that torch warns of
def test_any_bytes_are_tensors_or_one_clear_error(
    content: bytes, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"any{kind}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="any"):
        read_tensors(path)


def test_a_file_without_tensors_and_a_missing_one_are_told(
    network: nn.Module, tmp_path: Path
) -> None:
    torch.save({"epoch": 3}, tmp_path / "no.pt")
    with pytest.raises(DataError, match="holds no state_dict"):
        load_weights(network, tmp_path / "no.pt")
    with pytest.raises(DataError, match=r"gone\.pt: no such file"):
        load_weights(network, tmp_path / "gone.pt")

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nano.data.sample import DepthSet, network_input
from nano.design.design import Design
from nano.errors import DataError, Diverged, InputError, StudyError
from nano.networks.depthnet import build
from nano.networks.device import default_device, torch_device
from nano.train.loop import CurvePoint, Stopped, Trained, train
from nano.train.precision import cpu_has_bf16, denormals_flushed, resolve_precision
from nano.train.recalibrate import recalibrate
from nano.train.recipe import RECIPES, Recipe
from nano.train.session import Session
from nano.train.watch import EXPLOSION, Watch

MakeSet = Callable[..., DepthSet]


def same_weights(one: Trained, other: Trained) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_amsgrad_keeps_the_largest_second_moment_of_every_weight(
    design: Design, recipe: Recipe, make_set: MakeSet, amsgrad: bool
) -> None:
    session = Session(design, replace(recipe, amsgrad=amsgrad), make_set(), seed=0)
    session.advance()
    states = session.optimiser.state.values()
    assert len(states) == len(session.parameters)
    assert all(("max_exp_avg_sq" in state) == amsgrad for state in states)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_same_arguments_give_the_same_bits(
    design: Design, recipe: Recipe, make_set: MakeSet, precision: str
) -> None:
    recipe = replace(recipe, precision=precision)
    one, other = (train(design, recipe, make_set(), seed=3) for _ in range(2))
    assert same_weights(one, other)
    assert one.curve == other.curve
    assert not same_weights(one, train(design, recipe, make_set(), seed=4))


def test_global_random_state_and_number_mode_are_left_alone(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state is what is watched
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(design, recipe, make_set(), seed=3)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert sys.float_info.min / 2 > 0


def test_denormals_are_zero_inside_and_nested_uses_agree() -> None:
    tiny = sys.float_info.min
    with denormals_flushed():
        with denormals_flushed():
            assert tiny / 2 == 0
        assert tiny / 2 == 0
    assert tiny / 2 > 0


@pytest.mark.parametrize(
    "name", sorted(RECIPES.keys() - {"ordinal"})
)  # a design writes no decisions
def test_every_named_recipe_learns(design: Design, make_set: MakeSet, name: str) -> None:
    recipe = replace(RECIPES[name], steps=80, batch=10, learning_rate=5e-3)  # all in one batch
    trained = train(design, recipe, make_set(height=32, width=48), seed=0)
    assert trained.curve[-1].loss < 0.7 * trained.curve[0].loss


def test_the_curve_ends_at_the_last_step_and_progress_sees_all_of_it(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    seen: list[CurvePoint] = []
    recipe = replace(recipe, steps=205)
    trained = train(design, recipe, make_set(), seed=0, progress=seen.append)
    assert tuple(seen) == trained.curve
    assert [point.step for point in seen] == [*range(2, 205, 2), 205]
    assert seen[-1].images == trained.images == recipe.images == 820
    assert seen[-1].learning_rate == recipe.rate(204)


def test_the_network_comes_back_ready_to_evaluate(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    network = train(design, recipe, make_set(), seed=0).network
    assert not network.training
    assert all(p.is_contiguous() for p in network.parameters())


def test_training_goes_on_from_a_given_network(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    first = train(design, replace(recipe, steps=80), make_set(), seed=0)
    again = train(design, recipe, make_set(), seed=0, start=first.network)
    fresh = train(design, recipe, make_set(), seed=0)
    assert again.curve[0].loss < fresh.curve[0].loss


def test_stop_is_asked_after_every_step(design: Design, recipe: Recipe, make_set: MakeSet) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Stopped, match="step 3 of 12"):
        train(design, recipe, make_set(), seed=0, stop=lambda: next(asked))


def test_a_number_that_is_none_ends_the_training_with_its_step(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    network = build(design, 0)

    def poison(step: int) -> Callable[[CurvePoint], None]:
        def spoil(point: CurvePoint) -> None:
            if point.step == step:
                with torch.no_grad():
                    next(network.parameters()).fill_(float("nan"))

        return spoil

    with pytest.raises(Diverged, match="step 6: the loss is nan"):
        train(design, recipe, make_set(), seed=0, start=network, progress=poison(5))
    network = build(design, 0)
    with pytest.raises(Diverged, match="step 12: weights are no longer finite"):
        train(design, recipe, make_set(), seed=0, start=network, progress=poison(12))


def test_a_wild_rate_is_found_to_diverge(design: Design, make_set: MakeSet) -> None:
    recipe = Recipe(
        optimiser="adam", learning_rate=100.0, warmup=0.0, steps=40, batch=4, precision="float32"
    )
    with pytest.raises(Diverged, match="step "):
        train(design, recipe, make_set(), seed=0)


def test_explosion_is_judged_on_the_running_loss() -> None:
    watch = Watch()
    for step, loss in enumerate([1.0, 9.0, 1.0, 30.0, 1.0], start=1):
        watch.see(step, loss, norm=1.0)  # single bad batches are noise
    with pytest.raises(Diverged, match="times the 1 before the first step"):
        for step in range(6, 60):
            watch.see(step, 1.5 * EXPLOSION, norm=1.0)
    with pytest.raises(Diverged, match="step 2: the gradient's norm is inf"):
        Watch(start=1.0, running=1.0).see(2, 1.0, norm=float("inf"))


def test_sparse_truth_is_refused_by_a_loss_with_ssim(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    sparse = make_set(height=32, width=48, valid=0.05)
    dense_only = replace(recipe, ssim_weight=1.0)
    with pytest.raises(DataError, match=r"needs dense truth, but only .*% of the 3x3 windows"):
        train(design, dense_only, sparse, seed=0)
    train(design, dense_only, make_set(height=32, width=48), seed=0)
    assert train(design, recipe, sparse, seed=0).curve[-1].loss > 0


def test_an_empty_split_is_refused(design: Design, recipe: Recipe, make_set: MakeSet) -> None:
    with pytest.raises(DataError, match="toy train, 0 images at 16x24: no images"):
        train(design, recipe, make_set(images=0), seed=0)


@pytest.mark.parametrize("device", ["gpu", "meta"])
def test_an_unknown_device_names_the_known(device: str) -> None:
    with pytest.raises(InputError, match="use cpu, cuda or cuda:N"):
        torch_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_absent_device_is_refused() -> None:
    with pytest.raises(InputError, match="torch sees no CUDA device here; use cpu"):
        torch_device("cuda")


@pytest.mark.parametrize(("seen", "device"), [(True, "cuda"), (False, "cpu")])
def test_the_default_is_the_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, seen: bool, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen)
    assert default_device() == device


@pytest.mark.parametrize(
    ("flags", "found"),
    [("fpu avx512f avx512_bf16", True), ("fpu amx_bf16", True), ("fpu avx512f", False)],
)
def test_bf16_is_used_where_the_processor_lists_it(tmp_path: Path, flags: str, found: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: amx_bf16\n")
    assert cpu_has_bf16(cpuinfo) is found
    assert not cpu_has_bf16(tmp_path / "none")


def test_precision_that_is_asked_for_is_used() -> None:
    cpu = torch.device("cpu")
    assert resolve_precision("bf16", cpu) == "bf16"
    assert resolve_precision("float32", cpu) == "float32"
    assert resolve_precision("fp16", torch.device("cuda")) == "fp16"
    with pytest.raises(StudyError, match="precision = 'fp16': needs cuda, not cpu; use 'auto'"):
        resolve_precision("fp16", cpu)
    assert resolve_precision("auto", cpu) == ("bf16" if cpu_has_bf16() else "float32")


def test_averaged_weights_follow_and_are_what_is_handed_over(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    steps: list[torch.Tensor] = []
    network = build(design, 0)
    name, weight = next(iter(network.named_parameters()))
    average = weight.detach().clone()
    recipe = replace(recipe, ema=0.8, recalibrate=0)

    def note(_: CurvePoint) -> None:
        steps.append(weight.detach().clone())

    found = train(design, recipe, make_set(), seed=0, start=network, progress=note).network
    plain = train(design, replace(recipe, ema=0.0), make_set(), seed=0).network
    for step, live in enumerate(steps, start=1):
        decay = min(0.8, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * live
    torch.testing.assert_close(dict(found.named_parameters())[name].detach(), average)
    # What trains is not what is averaged: the last live weights are those of no average at all.
    assert torch.equal(steps[-1], dict(plain.named_parameters())[name])
    norms = [n.state_dict() for n in (found, plain)]
    statistic = next(key for key in norms[0] if key.endswith("running_var"))
    assert not torch.equal(norms[0][statistic], norms[1][statistic])


def test_the_average_does_not_follow_a_step_that_fp16_skipped(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    session = Session(design, replace(recipe, ema=0.9), make_set(), seed=0)
    average = session.average
    assert average is not None
    session.advance()
    weights = [parameter.detach().clone() for parameter in session.parameters]
    before = {name: tensor.clone() for name, tensor in average.tensors.items()}
    session.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    session.advance()
    assert all(torch.equal(p, w) for p, w in zip(session.parameters, weights, strict=True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in average.tensors.items())
    session.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    session.advance()
    assert not all(torch.equal(tensor, before[name]) for name, tensor in average.tensors.items())


def test_a_scaled_loss_trains_as_a_plain_one_and_skips_what_overflows(
    design: Design, recipe: Recipe, make_set: MakeSet
) -> None:
    def trained(scaler: torch.amp.GradScaler | None, steps: int) -> Session:
        session = Session(design, recipe, make_set(), seed=0)
        session.scaler = scaler or session.scaler
        for _ in range(steps):
            session.advance()
            session.look(None)
        return session

    plain = trained(None, 3).network.state_dict()
    scaled = trained(torch.amp.GradScaler("cpu", init_scale=2.0**10), 3).network.state_dict()
    for name, tensor in plain.items():
        torch.testing.assert_close(scaled[name], tensor, atol=1e-6, rtol=1e-4)

    wild = trained(torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=2.0**-10), 1)
    fresh = Session(design, recipe, make_set(), seed=0).parameters
    assert all(torch.equal(p, q) for p, q in zip(wild.parameters, fresh, strict=True))
    assert wild.scaler.get_scale() == 2.0**117
    with pytest.raises(Diverged, match="gradients overflow in fp16 at every scale"):
        trained(torch.amp.GradScaler("cpu", init_scale=2.0**-15), 1)


def test_recalibrated_statistics_are_the_mean_over_batches(make_set: MakeSet) -> None:
    norm = nn.BatchNorm2d(3)
    norm.running_mean = torch.full((3,), 99.0)
    images = network_input(torch.from_numpy(make_set().images))
    recalibrate(norm.eval(), images.split(5))
    parts = images.split(5)
    mean = torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0)
    variance = torch.stack([part.var((0, 2, 3)) for part in parts]).mean(0)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    assert norm.momentum == 0.1 and not norm.training


def test_recalibration_changes_no_weight(design: Design, recipe: Recipe, make_set: MakeSet) -> None:
    with_it = train(design, recipe, make_set(), seed=0).network
    without = train(design, replace(recipe, recalibrate=0), make_set(), seed=0).network
    for one, other in zip(with_it.parameters(), without.parameters(), strict=True):
        assert torch.equal(one, other)
    means = [dict(network.named_buffers()) for network in (with_it, without)]
    name = next(name for name in means[0] if name.endswith("running_mean"))
    assert not torch.equal(means[0][name], means[1][name])

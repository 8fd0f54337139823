"""A study file is right, or one line says where it is wrong and what would be right."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nano.errors import InputError
from nano.explore.__main__ import main
from nano.explore.study import StudyFile, differences, parse_study, read_study

BEGINNING = """name = "toy"
seed = 3
[data]
set = "scenes"
size = [32, 96]
train = 8
[prototype]
preset = "depthnet-tiny"
"""  # eight lines: what a test adds stands from line 9 on

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


WRONG = {
    # what stands there: (line, what the message says)
    "[data]": (9, "not TOML"),
    "[generatr]\nkind = 'tpe'": (9, 'unknown key "generatr"; did you mean "generator"?'),
    "[generator]\nknd = 'tpe'": (10, '[generator] unknown key "knd"; did you mean "kind"?'),
    "[generator]\nkind = 'tpee'": (10, "[generator] kind: no 'tpee' here; did you mean \"tpe\"?"),
    "[generator]\nkind = 3": (10, "[generator] kind: no 3 here; known: generator-inquisitor, tpe"),
    "[stages]\nrungs = [{step = 3}]": (
        10,
        '[stages] rungs, entry 1: unknown key "step"; did you mean "steps"?',
    ),
    "[[stages.rungs]]\nsteps = 1\n[[stages.rungs]]\nstepz = 3": (
        12,
        '[stages] rungs, entry 2: unknown key "stepz"; did you mean "steps"?',
    ),
    "[stages]\nrungs = [{steps = 1}, {steps = 'a'}]": (
        10,
        "[stages] rungs, entry 2, steps: input should be a valid integer, got 'a'",
    ),
    "[stages]\nrungs = [{}]": (10, '[stages] rungs, entry 1: "steps" is missing'),
    "[stages]\nrungs = [5]": (10, "[stages] rungs, entry 1: input should be an object, got 5"),
    "[stages]\nrungs = [{steps = 3}, {steps = 3}]": (10, "must grow in steps, got [3, 3, 600]"),
    "[stages]\nrungs = [{steps = 700}]": (10, "must grow in steps, got [700, 600]"),
    "[stages]\nfinal = {steps = 0}": (10, "[stages.final] steps: input should be greater than 0"),
    "[stages]\nkeep = nan": (10, "[stages] keep: input should be"),
    "[stages]\nconfirm = {seed = 2}": (10, 'unknown key "seed"; did you mean "seeds"?'),
    "[stages]\nrecipe = 3": (10, "[stages] recipe: input should be a valid string, got 3"),
    "[stages]\nrecipe = 'quik'": (10, "recipe 'quik': unknown (perhaps 'quick'?)"),
    "[stages]\nrecipe = {bach = 4}": (10, "[stages] recipe: unknown key 'bach' (perhaps 'batch'?)"),
    "[stages]\nrecipe = 'ordinal'": (10, "[stages] recipe: target 'ordinal' is for networks that"),
    "[stages]\nrecipe = {batch = 0}": (10, "recipe batch = 0: at least 1"),
    "[stages]\nrecipe = {batch = 'x'}": (10, "[stages] recipe: batch: "),
    "[require]\nparms = '<= 2M'": (10, '[require] parms: unknown; did you mean "params"?'),
    "[require]\nparams = 2": (10, "[require] params: input should be a valid string, got 2"),
    "[require]\nparams = '>= 2M'": (10, "params is bounded with <="),
    "[require]\nparams = 'two'": (10, "not a bound; write for example"),
    "[require]\ndelta1 = '>= 89'": (10, 'delta1 is a fraction between 0 and 1; write ">= 0.89"'),
    "[require]\nlatency_ms = '<= 30'": (10, "[require] latency_ms: measured where? Add [device]"),
    "[utility]\naccuracy = 'd1*(1-absrel)'": (10, 'unknown form; did you mean "d1*(1-abs_rel)"?'),
    "[utility]\nkappa = 0": (10, "[utility] kappa: input should be greater than 0, got 0"),
    "[utility]\nkappa = inf": (10, "[utility] kappa: input should be a finite number"),
    "[utility]\ntrade_off = ['latency_ms']": (10, "latency_ms: measured where? Add [device]"),
    "[utility]\ntrade_off = ['actvations']": (10, 'unknown; did you mean "activations"?'),
    "[utility]\ntrade_off = 'macs'": (10, "[utility] trade_off: input should be"),
    "[generator]\nkind = 'tpe'\n[utility]\ntrade_off = ['macs']": (12, "maximises the score alone"),
    "[prototype.ranges]\ngrowht = [4, 8]": (9, "knob 'growht': unknown; did you mean growth?"),
    "[prototype.ranges]\ngrowth.9 = [4, 8]": (9, "knob 'growth.9': unknown"),
    "[prototype.ranges]\nstem = [9, 4]": (9, "write [low, high]"),
    "[prototype.ranges]\nstem = [4]": (10, "[prototype.ranges] stem: too few values"),
    "[prototype.ranges]\nstem = 'a'": (10, "[prototype.ranges] stem: input should be"),
    "[device]\nkind = 'gpu'": (10, "[device] kind: no 'gpu' here; did you mean"),
    "[device]\nkind = 'ssh:'": (10, "[device] kind: no 'ssh:' here; did you mean \"ssh:HOST\"?"),
    "[device]\nruntime = 'eager'": (9, '[device] "kind" is missing'),
    "[device]\nkind = 'cpu'\nruntime = 'trtexec'": (9, "trtexec is ssh:HOST alone"),
    "[device]\nkind = 'ssh:x'\nruntime = 'eager'": (9, "trtexec is its only runtime"),
    "[device]\nkind = 'ssh:x'\nthreads = 2": (9, "batch and threads are for cpu and cuda"),
    "[device]\nkind = 'cuda'\npower_mode = 'MAXN'": (9, "power_mode is for ssh:HOST"),
    "[device]\nkind = 'cpu'\nseconds = nan": (11, "[device] seconds: input should be a finite"),
    "[evaluate]\ncallable = 'module'": (10, "[evaluate] callable: "),
    "[evaluate]\nfunction = 'a:b'": (10, '[evaluate] unknown key "function"; known: callable'),
}


@pytest.mark.parametrize("added", WRONG)
def test_what_is_wrong_is_told_in_one_line_with_its_place(write: Write, added: str) -> None:
    line, told = WRONG[added]
    path = write(BEGINNING + added)
    with pytest.raises(InputError) as wrong:
        read_study(path)
    message = str(wrong.value)
    assert told in message
    assert message.startswith(f"{path}:") and "\n" not in message
    assert message.startswith(f"{path}:{line}: ") or f"line {line}," in message


def test_the_native_kernels_are_for_depthnets(write: Write) -> None:
    path = write(BEGINNING + "[device]\nkind = 'cpu'\nruntime = 'native'")
    assert read_study(path).device is not None
    with pytest.raises(InputError, match=r':11: .*runs depthnets, not .* name = "fastdepth"'):
        read_study(path, ["prototype={name='fastdepth'}"])


OVERRIDDEN_WRONG = {
    "seed=-1": "seed: input should be greater than or equal to 0, got -1",
    "seed=true": "seed: input should be a valid integer, got True",
    "trials=3.5": "trials: input should be a valid integer, got 3.5",
    "trials='3'": "trials: input should be a valid integer, got '3'",
    "name=two words": "name: string should match pattern",
    "name.x=3": "name is not a table",
    "data=3": "data: input should be an object, got 3",
    "data.size=[33,96]": "size 33x96: both sides must be multiples of 32",
    "data.size=[32]": "[data] size: too few values",
    "data.size=64x192": "[data] size: input should be a valid array",
    "data.set=kiti": "[data] set: no 'kiti' here; did you mean \"kitti\"?",
    "data.protocol=scnes": 'unknown; did you mean "scenes"?',
    "data.protocol=kitti-single-scan": "choose a protocol for that kind",
    "data.root=x": '[data] unknown key "root"; known: protocol, seed, set',
    "prototype.ranges.growth=[4,2]": "write [low, high]",
    "prototype.ranges.growth.3=[8,4]": "knob growth.3 = [8, 4]: write [low, high]",
    "stages.recipe.lr=1": "[stages] recipe: unknown key 'lr' (perhaps 'learning_rate'?)",
    "stages.recipe.batch=0": "recipe batch = 0: at least 1",
    "stages={recipe={batch=0}}": "recipe batch = 0: at least 1",
    "stages.final=8": "[stages] final: input should be an object, got 8; write {steps = 8}",
    "generator=tpe": "object, got 'tpe'; write generator.kind = \"tpe\"",
    "evaluate=a:b": "object, got 'a:b'; write evaluate.callable = \"a:b\"",
    "stages.confirm=3": "[stages] confirm: input should be an object, got 3",
    "prototype.preset=depthnet-tny": "no preset 'depthnet-tny': perhaps 'depthnet-tiny'?",
    "data={set='kitti', root='x', train='eigen-fitt'}": "unknown list of KITTI frames",
    "data={set='kitti', root='x', test='eigen-fit'}": "is in both train and test",
    "data={set='kitti', root='x', truth='lidar'}": "[data] truth: no 'lidar' here; known: annot",
    "data={set='kitti', root=['x', '~nobody-of-that-name/y']}": "Could not determine home",
}


@pytest.mark.parametrize("override", OVERRIDDEN_WRONG)
def test_what_is_wrong_in_an_override_names_the_override(write: Write, override: str) -> None:
    with pytest.raises(InputError) as wrong:
        read_study(write(BEGINNING), [override])
    assert OVERRIDDEN_WRONG[override] in str(wrong.value)
    assert str(wrong.value).startswith(
        "--set: " if "~nobody" in override else f"--set {override}: "
    )


def test_an_override_beside_what_is_wrong_in_the_file_is_not_blamed(write: Write) -> None:
    path = write(f"{BEGINNING}[stages.recipe]\nbach = 4")
    with pytest.raises(InputError, match=rf"^{path}:9: .*unknown key 'bach'"):
        read_study(path, ["stages.recipe.clip=1", "stages.keep=1"])


def test_what_an_override_replaced_whole_is_not_blamed_on_the_file(write: Write) -> None:
    with pytest.raises(InputError, match=r"^--set data={size=\[33, 96\]}: "):
        read_study(write(BEGINNING), ["data={size=[33, 96]}"])


@pytest.mark.parametrize("override", ["seed", "=3", "a b=3", ".=3", "a..b=3"])
def test_an_override_without_key_or_value_is_refused(write: Write, override: str) -> None:
    with pytest.raises(InputError, match="write KEY=VALUE"):
        read_study(write(BEGINNING), [override])


def test_a_later_override_wins_and_tables_that_were_not_there_are_made(write: Write) -> None:
    overrides = [
        "seed=4",
        "seed=5",
        "name=other",  # a bare word
        "about=any words at all",
        "require.params=<= 2M",  # a bound
        "require.delta1=>= 0.5 + 0.01",
        "data.size=[64, 96]",  # a list
        "stages.rungs=[{steps=1}, {steps=2}]",  # a list of tables
        "stages.confirm={designs=1, seeds=2}",  # a table
        "stages.keep=1",  # a whole number where a broken one may stand
        "prototype.ranges.growth.3=[4, 8]",  # a knob's name has a dot in it
    ]
    study = read_study(write(BEGINNING), overrides)
    assert (study.seed, study.name, study.about) == (5, "other", "any words at all")
    assert study.require == {"params": "<= 2M", "delta1": ">= 0.5 + 0.01"}
    assert study.size == (64, 96)
    assert [rung.steps for rung in study.stages.rungs] == [1, 2]
    assert (study.stages.confirm.designs, study.stages.confirm.seeds) == (1, 2)
    assert study.stages.keep == 1.0
    assert study.family().knob["growth.3"].high == 8


@pytest.mark.parametrize("written", ["growth.3 = [4, 7]", '"growth.3" = [4, 7]'])
def test_a_knob_of_one_stage_is_written_with_and_without_quotes(write: Write, written: str) -> None:
    family = read_study(write(f"{BEGINNING}[prototype.ranges]\n{written}")).family()
    assert (family.knob["growth.3"].low, family.knob["growth.3"].high) == (4, 7)
    assert family.knob["growth.2"].high != 7


@pytest.mark.parametrize("bytes_", [b"\xff\xfe", b"name = \xe9"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, bytes_: bytes) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(bytes_)
    with pytest.raises(InputError, match=f"{path}: cannot be read"):
        read_study(path)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such study file"):
        read_study(tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_study(tmp_path)


def test_roots_in_the_file_start_at_the_file_and_those_of_overrides_here(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("name = 'roads'\n[data]\nset = 'kitti'\nroot = ['raw', '/data/depth']\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert read_study(path).data.root == (str(tmp_path / "raw"), "/data/depth")  # type: ignore[union-attr]  # a KITTI table
    assert read_study(path, ["data.root=raw"]).data.root == str(elsewhere / "raw")  # type: ignore[union-attr]  # a KITTI table


def test_the_study_as_run_is_the_same_study(write: Write) -> None:
    import tomli_w

    added = "[stages]\nrungs = [{steps = 3}]\nrecipe = {name = 'quick', batch = 4}\n[require]\n"
    study = read_study(
        write(BEGINNING + added + "params = '<= 5k'\n[prototype.ranges]\nstem=[4,9]")
    )
    path = write(tomli_w.dumps(study.plain()))
    assert read_study(path) == study
    assert differences(tomllib.loads(path.read_text()), study.plain()) == []


def test_differences_name_every_setting_but_the_number_of_trials() -> None:
    old = {"name": "a", "trials": 3, "about": "x", "require": {"params": "<= 2M"}}
    new = {"name": "a", "trials": 9, "about": "y", "require": {"macs": "<= 2G"}, "seed": 1}
    assert differences(old, new) == [
        "require.macs: absent -> <= 2G",
        "require.params: <= 2M -> absent",
        "seed: absent -> 1",
    ]


def test_the_schema_documents_every_table_and_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["required"] == ["name"]
    tables: dict[str, Any] = {"the study file": schema, **schema["$defs"]}
    for title, table in tables.items():
        assert table["description"], title
        assert table["additionalProperties"] is False, title
        for key, node in table["properties"].items():
            bare = {"truth", "set"} if "Kitti" in title else {"set"}
            assert "description" in node or key in bare, f"{title}: {key}"


def test_every_default_is_a_value_that_the_schema_allows() -> None:
    assert StudyFile(name="a") == StudyFile.model_validate_json(
        json.dumps(StudyFile(name="a").plain()), strict=True
    )


def test_a_device_that_ssh_reaches_has_defaults_of_its_own(write: Write) -> None:
    study = read_study(write("name = 'x'\n[device]\nkind = 'ssh:me@xavier'\n"))
    assert study.device is not None
    assert (study.device.host, study.device.runtime) == ("me@xavier", "trtexec")
    assert study.device.seconds == 5.0  # fifty samples of power
    assert parse_study(study.plain(), "study") == study
    here = read_study(write("name = 'x'\n[device]\nkind = 'cpu'\n")).device
    assert here is not None
    assert (here.host, here.runtime, here.seconds) == (None, "eager", 1.0)

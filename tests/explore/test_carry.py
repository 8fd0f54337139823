"""A study in one file: everything comes out of it that went in, and nothing else gets out of it."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState
from toy_study import Ended, Toy

from nano.console import run
from nano.errors import InputError, NanoError, OutputError, RunError
from nano.explore import carry
from nano.explore.__main__ import main
from nano.explore.archive import is_of_run, opened
from nano.explore.caps import Caps
from nano.explore.carry import export_run, import_run
from nano.explore.database import open_storage
from nano.explore.folder import RunFolder
from nano.explore.kinds import study_sampler
from nano.explore.rows import trial_in, trial_out
from nano.explore.storage import Asked, Store
from nano.explore.study import read_study

Finished = tuple[Toy, Ended]
Change = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def packed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished toy study in one file."""
    file = tmp_path_factory.mktemp("packed") / "toy.zip"
    export_run(RunFolder(path=finished[0].run), None, file)
    return file


@pytest.fixture
def changed(packed: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """``changed(change)``: that file with other members; those stated are stated as they are."""

    def write(change: Change, stated: bool = True) -> Path:
        with zipfile.ZipFile(packed) as file:
            members = {name: file.read(name) for name in file.namelist()}
        change(members)
        if stated:
            restate(members)
        path = tmp_path / "changed.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)
        return path

    return write


def restate(members: dict[str, bytes]) -> None:
    """As somebody would who means harm: sizes and checksums fit."""
    import hashlib

    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
        if name != "manifest.json"
    }
    members["manifest.json"] = json.dumps(manifest).encode()


def in_manifest(**more: Any) -> Change:
    def change(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        members["manifest.json"] = json.dumps(manifest | more).encode()

    return change


def in_trial(number: int, change: Callable[[Any], None]) -> Change:
    def changing(members: dict[str, bytes]) -> None:
        lines = [json.loads(line) for line in members["trials.jsonl"].splitlines()]
        change(lines[number])
        members["trials.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    return changing


def files(folder: Path) -> dict[str, bytes]:
    """Those of a run that a person would miss."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if is_of_run(name)}


def trials(url: str, name: str = "toy") -> list[FrozenTrial]:
    """As Optuna reads them, without what belongs to a machine."""
    study = optuna.load_study(study_name=name, storage=open_storage(url))
    found = study.get_trials()
    for trial in found:
        trial._trial_id = -1
        trial._user_attrs.pop("owner", None)
    return found


# --- there and back ------------------------------------------------------------------------------


def test_everything_comes_out_that_went_in(
    finished: Finished, packed: Path, tmp_path: Path
) -> None:
    toy, _ = finished
    done = import_run(packed, tmp_path / "new", None)
    assert done["trials"] == 8 and done["study"] == "toy"
    assert files(tmp_path / "new") == files(toy.run)
    assert {"best/design.json", "trials/0007/evaluation.json"} < files(tmp_path / "new").keys()
    old, new = (trials(RunFolder(path=f).storage_url) for f in (toy.run, tmp_path / "new"))
    assert new == old
    stored = [open_storage(RunFolder(path=f).storage_url) for f in (toy.run, tmp_path / "new")]
    one, other = (storage.get_all_studies()[0] for storage in stored)
    assert (one.user_attrs, one.system_attrs) == (other.user_attrs, other.system_attrs)
    assert one.directions == other.directions
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new"]


@pytest.mark.parametrize("kind", ["random", "generator-inquisitor", "tpe", "cmaes", "evolution"])
def test_the_next_proposals_are_those_of_the_study_that_stayed(
    finished: Finished, packed: Path, tmp_path: Path, kind: str
) -> None:
    stayed = finished[0].copy(tmp_path / "copy").run
    theirs = f"sqlite:///{tmp_path / 'theirs.db'}"
    import_run(packed, tmp_path / "new", None)
    import_run(packed, tmp_path / "elsewhere", theirs)
    urls = [RunFolder(path=path).storage_url for path in (stayed, tmp_path / "new")]
    first, *others = (
        proposed(finished[0], kind, url, tmp_path / "owner") for url in [*urls, theirs]
    )
    assert others == [first, first] and [asked.number for asked in first] == [8, 9]


def proposed(toy: Toy, kind: str, url: str, owner: Path) -> list[Asked]:
    """The next two trials of a study, whatever proposed the ones before."""
    study = read_study(toy.study)
    caps = Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)
    sampler = study_sampler(kind, caps, utility=study.weights(), seed=3, trials=10)
    store = Store(open_storage(url), "toy", sampler, caps.prototype, owner=owner)
    store.claim(study.plain(), caps.prototype.space, caps.first())
    return [asked for _ in range(2) if (asked := store.ask(kind)) is not None]


@pytest.mark.slow
def test_the_command_goes_on_elsewhere_as_it_would_have_here(toy: Toy, tmp_path: Path) -> None:
    more = ("--set", "generator.kind=generator-inquisitor")
    assert toy(*more).code in {0, 3}
    file, there = tmp_path / "toy.zip", f"sqlite:///{tmp_path / 'theirs.db'}"
    assert toy("--export", str(file)).code == 0
    calls = toy.calls()
    for storage in ((), ("--storage", there)):
        assert carried(toy, file, tmp_path / f"new{len(storage)}", *storage)["trials"] == 8
    assert toy.calls() == calls  # bringing trains nothing
    names = [(), ("--out", str(tmp_path / "new0")), ("--out", str(tmp_path / "new2"))]
    found = []
    for out, storage in zip(names, [(), (), ("--storage", there)], strict=True):
        assert toy("--trials", "10", "--json", *more, *out, *storage).code in {0, 3}
        url = there if storage else RunFolder(path=Path(out[1]) if out else toy.run).storage_url
        found.append([trial.user_attrs["design"] for trial in trials(url)])
        assert len(found[-1]) == 10
    assert found[0] == found[1] == found[2]


def carried(toy: Toy, file: Path, out: Path, *more: str) -> Any:
    """What the command says of an import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy, "arguments", lambda *words, workers=1: list(words))
        ended = toy("--import", str(file), "--out", str(out), "--json", *more)
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_a_finished_study_has_nothing_left_to_do(
    finished: Finished, packed: Path, toy: Toy, tmp_path: Path
) -> None:
    copy = finished[0].copy(tmp_path / "copy")
    import_run(packed, tmp_path / "new", None)
    calls = copy.calls()
    ended = copy("--out", str(tmp_path / "new"), "--json")
    assert ended.code == 0 and copy.calls() == calls
    assert [e["event"] for e in ended.events] == ["confirmation"] * 3 + ["summary"]


def test_a_trial_under_way_is_taken_up_under_its_number(toy: Toy, tmp_path: Path) -> None:
    assert toy("--trials", "3").code in {0, 3}
    storage = open_storage(RunFolder(path=toy.run).storage_url)
    study = optuna.load_study(study_name="toy", storage=storage)
    asked = study.ask()
    design = trials(RunFolder(path=toy.run).storage_url)[2].user_attrs["design"]
    asked.set_user_attr("owner", {"host": "elsewhere", "lock": "/gone"})
    assert asked.number == 3 and design
    assert toy("--export", str(tmp_path / "toy.zip")).code == 0
    import_run(tmp_path / "toy.zip", tmp_path / "new", None)
    ended = toy("--out", str(tmp_path / "new"), "--trials", "5")
    assert ended.code in {0, 3} and "interrupted: #3" in ended.err
    found = trials(RunFolder(path=tmp_path / "new").storage_url)
    assert [trial.number for trial in found] == list(range(5))
    assert all(trial.state.is_finished() for trial in found)


@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    reports=st.dictionaries(st.integers(0, 2**31 - 1), st.floats(-1e9, 1e9), max_size=3),
    text=st.text(max_size=20),
)
def test_any_trial_is_the_same_after_the_trip(
    value: float, reports: dict[int, float], text: str
) -> None:
    trial = optuna.create_trial(
        value=value,
        params={"a": 3, "b": 0.25, "c": "x"},
        distributions={
            "a": optuna.distributions.IntDistribution(1, 8, log=True),
            "b": optuna.distributions.FloatDistribution(0, 1),
            "c": optuna.distributions.CategoricalDistribution(("x", text + "y")),
        },
        user_attrs={text: [text, value, None]},
        system_attrs={"constraints:delta1": value},
        intermediate_values=reports,
    )
    trial.number = 4
    plain = json.loads(json.dumps(carry.to_plain(trial_out(trial))))
    back = trial_in(plain, 4, "here", {})
    back._trial_id = trial._trial_id
    assert back == trial


def test_records_of_before_are_read(changed: Callable[[Change], Path], tmp_path: Path) -> None:
    def older(trial: Any) -> None:
        evaluation = trial["user_attrs"]["evaluation"]
        evaluation.pop("proposal", None)  # fields that came later have what was usual before
        for reading in evaluation["readings"]:
            reading.pop("cpu_seconds")

    assert import_run(changed(in_trial(2, older)), tmp_path / "new", None)["trials"] == 8


def test_files_of_others_links_and_databases_stay(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = finished[0].copy(tmp_path / "copy")
    (toy.run / "thesis.txt").write_text("years of work")
    (toy.run / "checkpoints").mkdir()
    (toy.run / "checkpoints" / "a-final-0.pt").write_bytes(b"half a training")
    (tmp_path / "secret.json").write_text("{}")
    (toy.run / "trials" / "0000" / "more.json").symlink_to(tmp_path / "secret.json")
    (toy.run / "trials" / "linked").symlink_to(tmp_path)
    export_run(RunFolder(path=toy.run), None, tmp_path / "toy.zip")
    with zipfile.ZipFile(tmp_path / "toy.zip") as file:
        names = set(file.namelist())
    assert names == {"manifest.json", "study.json", "trials.jsonl"} | {
        f"run/{name}" for name in files(finished[0].run)
    }
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "thesis.txt" in said and "trials/linked" in said


def test_no_name_of_a_machine_or_a_lock_goes_along(packed: Path, finished: Finished) -> None:
    with zipfile.ZipFile(packed) as file:
        stored = file.read("trials.jsonl") + file.read("study.json")
    assert b"owner" not in stored and os.uname().nodename.encode() not in stored
    assert str(finished[0].folder).encode() not in stored


# --- nothing by halves ---------------------------------------------------------------------------


def test_a_disk_that_fills_leaves_the_older_file(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "toy.zip"
    file.write_text("what was there")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nano.explore.archive.copyfileobj", full)
    with pytest.raises(OutputError, match=r"toy.zip: cannot be written: the disk is full"):
        export_run(RunFolder(path=finished[0].run), None, file)
    assert [p.name for p in tmp_path.iterdir()] == ["toy.zip"]
    assert file.read_text() == "what was there"


@pytest.mark.parametrize("instant", ["unfold", "trial", "place"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_stop_at_any_time_leaves_neither_a_folder_nor_a_study(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instant: str, elsewhere: bool
) -> None:
    left = [5 if instant != "place" else 1]

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(*given: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return call(*given, **more)

        return mortal

    place = {"unfold": "Archive.unfold", "trial": "trial_in", "place": "os.sync"}[instant]
    owner = carry
    for step in place.split(".")[:-1]:
        owner = getattr(owner, step)
    url = f"sqlite:///{tmp_path / 'theirs.db'}" if elsewhere else None
    with monkeypatch.context() as patch:
        name = place.rpartition(".")[2]
        patch.setattr(owner, name, dying(getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            import_run(packed, tmp_path / "new", url)
    assert {p.name for p in tmp_path.iterdir()} <= {"theirs.db"}
    assert import_run(packed, tmp_path / "new", url)["trials"] == 8
    assert len(trials(url or RunFolder(path=tmp_path / "new").storage_url)) == 8


# --- what is refused -----------------------------------------------------------------------------


def refused(file: Path, tmp_path: Path, storage: str | None = None) -> str:
    """The one line that an import ends with; nothing is left of it."""
    before = {p for p in tmp_path.rglob("*")}
    with pytest.raises(NanoError) as told:
        import_run(file, tmp_path / "new", storage)
    assert {p for p in tmp_path.rglob("*")} == before
    assert isinstance(told.value, InputError | OutputError)
    text = str(told.value)
    assert "\n" not in text and len(text) < 500, text
    return text


BAD_NAMES = [
    "../escaped.json",
    "run/../../escaped.json",
    "run/trials/../../../escaped.json",
    "/etc/escaped.json",
    "run//etc/escaped.json",
    "run/trials/0000\\..\\escaped.json",
    "run/study.db",
    "run/trials/0000/run.py",
    "run/trials/0000/.hidden.json",
    "run/checkpoints/x.pt",
    "run/owners/turn.lock",
    "run/trials/0000/model.pkl",
    "run/best/ne\nw.json",
    "C:/escaped.json",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere_or_are_not_ours_are_refused(
    changed: Callable[[Change], Path], tmp_path: Path, name: str
) -> None:
    def change(members: dict[str, bytes]) -> None:
        members[name] = b"{}"

    told = refused(changed(change), tmp_path)
    assert "which is no file of a study" in told and repr(name) in told


@given(st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_name_that_is_taken_leads_out_of_the_folder(name: str) -> None:
    home = Path("/home/somebody/run")
    for path in (name, f"trials/{name}", f"best/{name}.json"):
        if is_of_run(path):
            assert Path(os.path.normpath(home / path)).is_relative_to(home)
            assert not {"..", "", "."} & set(path.split("/")) and path.isprintable()


def test_a_link_in_an_archive_is_refused(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "linked.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            if info.filename == "run/best/design.json":
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            new.writestr(info, old.read(info.filename))
    assert "run/best/design.json is a link or a device, not a file" in refused(path, tmp_path)


def test_a_bomb_is_refused_before_it_goes_off(
    changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    def swollen(members: dict[str, bytes]) -> None:
        members["run/trials/0000/more.json"] = bytes(200 << 20)

    assert "that would unfold to" in refused(changed(swollen), tmp_path)


def test_a_member_that_is_larger_than_stated_is_refused(
    changed: Callable[..., Path], tmp_path: Path
) -> None:
    def swollen(members: dict[str, bytes]) -> None:
        members["run/report.html"] += b"more"

    assert "run/report.html: damaged" in refused(changed(swollen, False), tmp_path)


@pytest.mark.parametrize("name", ["study.json", "trials.jsonl", "run/best/design.json"])
def test_a_wrong_checksum_is_refused(
    changed: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    def flip(members: dict[str, bytes]) -> None:
        members[name] = members[name].replace(b"1", b"2", 1)

    told = refused(changed(flip, False), tmp_path)
    assert f"{name}: damaged: not what the manifest states" in told


def test_what_is_lacking_or_not_stated_or_twice_is_refused(
    changed: Callable[..., Path], packed: Path, tmp_path: Path
) -> None:
    lacking = changed(lambda members: members.pop("run/best/design.json") and None, False)
    assert "lacks run/best/design.json" in refused(lacking, tmp_path)
    lacking = changed(lambda members: members.pop("trials.jsonl") and None)
    assert "lacks trials.jsonl" in refused(lacking, tmp_path)
    more = changed(lambda members: members.update({"run/best/a.json": b""}), False)
    assert "'run/best/a.json', which its manifest does not state" in refused(more, tmp_path)
    more.write_bytes(packed.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(more, "a") as file:
        file.writestr("study.json", "{}")
    assert "holds 'study.json' twice" in refused(more, tmp_path)
    short = changed(in_manifest(trials=7))
    assert "8 trials where 7 are stated" in refused(short, tmp_path)


def test_other_versions_are_refused_by_name(
    changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    for version in (2, 0, "1", None):
        told = refused(changed(in_manifest(version=version)), tmp_path)
        assert f"is of format {version}, this version reads 1; take the version" in told
    told = refused(changed(in_manifest(format="something else")), tmp_path)
    assert "manifest.json is not of ours; give a file that python -m nano.explore" in told
    told = refused(changed(in_manifest(signed=True)), tmp_path)
    assert "manifest.json: signed: unknown key" in told

    def newer(trial: Any) -> None:
        trial["user_attrs"]["evaluation"]["dreams"] = 3

    def both(members: dict[str, bytes]) -> None:
        in_trial(2, newer)(members)
        in_manifest(versions={"depthnet-nano": "9.9"})(members)

    told = refused(changed(both), tmp_path)
    assert "trial 2: dreams: unknown key" in told and "written by version 9.9, this is" in told


NOT_ARCHIVES = {
    "empty": b"",
    "text": b"no zip at all",
    "pickle": pickle.dumps({"a": 1}),
    "cut": None,
    "other zip": b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("kind", NOT_ARCHIVES)
def test_what_is_no_archive_is_refused(packed: Path, tmp_path: Path, kind: str) -> None:
    content = NOT_ARCHIVES[kind]
    (tmp_path / "a.zip").write_bytes(packed.read_bytes()[:-1000] if content is None else content)
    assert "python -m nano.explore --export wrote" in refused(tmp_path / "a.zip", tmp_path)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    assert "nothing.zip: no such file" in refused(tmp_path / "nothing.zip", tmp_path)
    assert "cannot be read: Is a directory" in refused(tmp_path, tmp_path)


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
def test_no_damage_goes_unseen_or_crashes(data: st.DataObject, packed: Path) -> None:
    """A byte changed anywhere: refused in one line, or it changed nothing that is read."""
    content = bytearray(packed.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    file = io.BytesIO(bytes(content))
    path = packed.with_name("damaged.zip")
    path.write_bytes(file.getvalue())
    try:
        with opened(path) as archive, opened(packed) as good:
            for name in good.manifest.members:
                assert list(archive._pieces(name)) == list(good._pieces(name))
    except RunError as told:
        assert "\n" not in str(told)


HOSTILE_TRIALS: dict[str, Callable[[Any], None]] = {
    "state": lambda trial: trial.update(state="ASLEEP"),
    "number": lambda trial: trial.update(number=9),
    "params": lambda trial: trial["params"].update(x=[1.0, "{}"]),
    "distribution": lambda trial: trial["params"].update(
        x=[1.0, '{"name": "os", "attributes": 1}']
    ),
    "out of range": lambda trial: trial["params"].update(seed=[-5.0, trial["params"]["seed"][1]]),
    "when": lambda trial: trial.update(began="yesterday"),
    "step": lambda trial: trial.update(reports={"two": 1.0}),
    "values": lambda trial: trial.update(values=["much"]),
    "evaluation": lambda trial: trial["user_attrs"].update(evaluation="good"),
    "no table": lambda trial: trial.update(user_attrs=[]),
}


@pytest.mark.parametrize("kind", HOSTILE_TRIALS)
def test_a_trial_that_cannot_be_is_refused(
    changed: Callable[[Change], Path], tmp_path: Path, kind: str
) -> None:
    told = refused(changed(in_trial(3, HOSTILE_TRIALS[kind])), tmp_path)
    assert "trial 3" in told


HOSTILE = ["<script>alert(1)</script>", "../../x", "two\nlines", "n" * 10_000, ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_studies_are_refused(
    changed: Callable[[Change], Path], tmp_path: Path, name: str
) -> None:
    def change(members: dict[str, bytes]) -> None:
        study = json.loads(members["study.json"])
        study["name"] = study["user_attrs"]["study"]["name"] = name
        members["study.json"] = json.dumps(study).encode()
        in_manifest(study=name)(members)

    assert "name" in refused(changed(change), tmp_path)


def test_what_is_there_already_is_left_alone(
    packed: Path, finished: Finished, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "thesis.txt").write_text("years of work")
    assert "new: is there already; choose a new folder: --out DIR" in refused(packed, tmp_path)
    (tmp_path / "new" / "thesis.txt").unlink()
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    import_run(packed, tmp_path / "first", url)
    told = refused(packed, tmp_path, url)
    assert "that storage holds a study 'toy' already" in told
    assert len(trials(url)) == 8
    assert import_run(packed, tmp_path / "new", None)["trials"] == 8  # an empty folder will do


def test_a_place_that_cannot_be_written_is_told(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        import_run(packed, tmp_path / "file" / "new", None)
    with pytest.raises(RunError, match="no such folder"):
        import_run(packed, tmp_path / "new", f"sqlite:///{tmp_path}/missing/x.db")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_exported_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {
        (): "has no run.json; give the run folder: --out DIR",
        ("--dry-run",): "not allowed with argument",
        ("--import", "x"): "not allowed with argument",
    }
    for more, words in told.items():
        with pytest.raises(SystemExit) as ended:
            run(lambda _, more=more: main(["--out", str(tmp_path), "--export", "x", *more]))
        said = capsys.readouterr().err
        assert ended.value.code == 2 and words in said and said.count("\n") == 1
    RunFolder(path=tmp_path).write_run({"study": "toy"})
    with pytest.raises(RunError, match=r"has no study.db; .* --storage URL"):
        main(["--out", str(tmp_path), "--export", str(tmp_path / "a.zip")])
    with pytest.raises(InputError, match="the file says which study"):
        main(["study.toml", "--import", str(tmp_path / "a.zip")])


def test_states_survive(packed: Path, tmp_path: Path) -> None:
    import_run(packed, tmp_path / "new", None)
    states = {trial.state for trial in trials(RunFolder(path=tmp_path / "new").storage_url)}
    assert {TrialState.COMPLETE, TrialState.PRUNED} == states

"""A stored study of a few made-up trials, with its run folder, and the page asked in-process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

from PIL import Image

from nano.dashboard.__main__ import opened
from nano.dashboard.server import application
from nano.design.presets import prototype
from nano.explore.caps import Caps
from nano.explore.database import open_storage
from nano.explore.folder import RunFolder
from nano.explore.samplers import CappedSampler, sampler_factory
from nano.explore.stages import Judge, counted
from nano.explore.storage import Store
from nano.records import Accuracy, Evaluation, Reading
from nano.score import Requirements, Utility

SIZE = (32, 96)
REQUIRE = {"delta1": ">= 0.5 + 0.01", "abs_rel": "<= 0.4"}
ABOUT = "<script>alert(1)</script> [x](javascript:alert(1)) | cell\n# heading"
CURVE = "stage,step,images,loss,learning_rate\nfinal,1,4,0.9,0.1\nfinal,2,8,0.5,0.1\n"
PANEL = (255, 0, 128)  # a colour that the dashboard's own pages do not have

# delta1 and AbsRel of each trial, and the reason why it ended early. The best score misses a bound.
SEEN = ((0.55, 0.3, None), (0.95, 0.41, None), (0.52, 0.35, None), (0.8, 0.2, "not among the best"))
INFEASIBLE, PRUNED = 1, 3

Make = Callable[..., Path]


def write_study(
    folder: Path,
    seen: Sequence[tuple[float, float, str | None]] = SEEN,
) -> Path:
    """The run folder, its study.db and what a finished search leaves in both."""
    run, tiny = RunFolder(path=folder), prototype("depthnet-tiny")
    requirements = Requirements.parse(REQUIRE)
    judge = Judge(utility=Utility(), requirements=requirements)
    folder.mkdir(parents=True, exist_ok=True)
    caps = Caps(prototype=tiny, requirements=requirements, size=SIZE)
    sampler = CappedSampler(sampler_factory("random", tiny, 8), caps, 0)
    storage = open_storage(run.storage_url)
    store = Store(storage, "made", sampler, tiny, owner=folder / "owner")
    study = {"name": "made", "about": ABOUT, "require": REQUIRE}
    store.claim(study, tiny.space, {"prototype": tiny.preset})
    for delta1, abs_rel, reason in seen:
        asked = store.ask("random")
        assert asked is not None
        blank = counted(
            asked.number, asked.design, origin=asked.origin, seed=asked.seed, size=SIZE, judge=judge
        )
        accuracy, stage = Accuracy(delta1=delta1, abs_rel=abs_rel), "rung 1" if reason else "final"
        reading = Reading(stage=stage, images=8, seconds=0.1, seed=1, accuracy=accuracy)
        done = judge.judged(
            replace(blank, stage=stage, readings=(reading,), accuracy=accuracy, reason=reason)
        )
        store.tell(done, requirements)
        _write_files(run, done)
    run.write_study(study)
    run.write_run({"study": "made", "requirements": [r.describe() for r in requirements.items]})
    return folder


def _write_files(run: RunFolder, done: Evaluation) -> None:
    run.write_evaluation(done)
    Image.new("RGB", (240, 120), PANEL).save(run.trial(done.number) / "panel.png")
    (run.trial(done.number) / "curve.csv").write_text(CURVE)


@dataclass(frozen=True)
class Answer:
    """What the page answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Page:
    """The command's application, without its socket."""

    def __init__(self, place: str | Path, storage: str | None = None) -> None:
        self.view, shelf, self.start = opened(str(place), storage)
        self._app = application(self.view, shelf, host="127.0.0.1")

    def __call__(self, path: str, method: str = "GET", host: str = "127.0.0.1:8080") -> Answer:
        environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_HOST": host}
        environ["HTTP_ACCEPT_ENCODING"] = ""
        setup_testing_defaults(environ)
        began: list[Any] = []
        pieces = self._app(environ, lambda status, headers, *_: began.extend((status, headers)))
        body = b"".join(pieces)
        if hasattr(pieces, "close"):
            pieces.close()
        return Answer(int(began[0].split()[0]), dict(began[1]), body)

    def detail(self, study: int = 1) -> Any:
        answer = self(f"/api/studies/{study}")
        assert answer.status == 200, answer.body
        return answer.json

"""python -m nano.data: previews, checks and caches made beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nano.data.__main__ import main
from nano.data.cache import open_cache
from nano.data.option import telling
from nano.errors import DataError, InputError

STUDY = '[data]\nset = "scenes"\nsize = [16, 32]\ntrain = 3\nvalidation = 2\ntest = 1\n'


def test_scenes_are_previewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "scenes.png"
    options = ["--preview", str(picture), "--size", "32x96", "--count", "2"]
    assert main(["scenes", *options]) == 0
    assert capsys.readouterr().out == f"{picture}\n"
    with Image.open(picture) as opened:
        assert opened.format == "PNG"


def test_fewer_scenes_than_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'-3' is no whole number above 0"):
        main(["scenes", "--preview", str(tmp_path / "scenes.png"), "--count", "-3"])


def test_study_is_prepared_and_its_caches_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, cache, picture = tmp_path / "study.toml", tmp_path / "cache", tmp_path / "frames.png"
    study.write_text(STUDY)
    assert main(["prepare", str(study), "--cache", str(cache), "--preview", str(picture)]) == 0
    out, progress = capsys.readouterr()
    places = [Path(line.rsplit(": ", 1)[1]) for line in out.splitlines()]
    assert [len(open_cache(place)) for place in places] == [3, 2, 1]
    assert {place.parent for place in places} == {cache}
    assert "3 of 3 frames" in progress
    assert picture.is_file()


def test_folder_without_kitti_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=tmp_path.name):
        main(["kitti", "--check", str(tmp_path)])


def test_telling_speaks_at_the_end_at_the_latest(capsys: pytest.CaptureFixture[str]) -> None:
    tell = telling("frames")
    for done in (1, 2, 3):
        tell(done, 3)
    assert capsys.readouterr().err == "preparing frames: 3 of 3 frames\n"

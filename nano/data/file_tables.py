"""[data] tables of sets whose splits lie in the data's own folder, not in the study.

[data]
set = "folder"                # images and depth of your own, with a manifest.toml
root = "/data/mine"
size = [96, 128]
bad_share = 0.01              # frames that may be damaged: left out, counted and listed
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nano.data.fill import Method
from nano.data.manifest import Folders, Share, SplitsTable

Pixels = Annotated[int, Field(gt=0)]
Size = tuple[Pixels, Pixels]

BAD_SHARE = 0.01
BAD_SHARE_TEXT = (
    "share of a split's frames that may be unusable: they are left out, counted and listed; with"
    " more the split is refused"
)
ROOT = "the folder that holds the data; a relative one starts at the study file's folder"
FILL = "how training gets depth where none was measured, see nano.data.fill"
SIZE = "height and width of the network's input"


class FolderTable(BaseModel):
    """[data] with ``set = "folder"``: a person's own images and depth, see `nano.data.folder`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: Literal["folder"]
    root: str = Field(description=ROOT)
    size: Size = Field(default=(96, 128), description=SIZE)
    fill: Method = Field(default="none", description=FILL)
    bad_share: float = Field(default=BAD_SHARE, ge=0, lt=1, description=BAD_SHARE_TEXT)
    protocol: Literal["folder"] = Field(
        default="folder", description="no crop, the depth range of the manifest"
    )


class NyuTable(BaseModel):
    """[data] with ``set = "nyu"``: NYU Depth v2, see `nano.data.nyu`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: Literal["nyu"]
    root: str = Field(description=ROOT)
    size: Size = Field(default=(224, 288), description=SIZE)
    train: Folders = Field(default=("train",), description='folders below root; ["."] is all')
    validation: Share | Folders = Field(
        default=0.1, description="the share held out of each of train's folders, or folders"
    )
    test: Share | Folders = Field(default=("test",), description="folders, or a share likewise")
    gap: int = Field(default=10, ge=0, description="frames dropped before a held-out share")
    fill: Method = Field(default="none", description=FILL)
    bad_share: float = Field(default=BAD_SHARE, ge=0, lt=1, description=BAD_SHARE_TEXT)
    protocol: Literal["nyu", "nyu-fastdepth"] = Field(
        default="nyu",
        description="nyu: Eigen's crop of 480x640 maps; nyu-fastdepth: whole maps, as FastDepth"
        " at 224x224; both 0-10 m",
    )

    @property
    def splits(self) -> SplitsTable:
        """Which folders are for what."""
        return SplitsTable(
            train=self.train, validation=self.validation, test=self.test, gap=self.gap
        )


Scenes = Literal["train", "val", "test"] | Folders


class DdadTable(BaseModel):
    """[data] with ``set = "ddad"``: DDAD or another set in DGP format, see `nano.data.ddad`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: Literal["ddad"]
    root: str = Field(description=ROOT)
    size: Size = Field(default=(384, 640), description=SIZE)
    camera: str = Field(default="CAMERA_01", description="01 looks ahead, 05 to 09 around")
    train: Scenes = Field(
        default="train", description="scenes of a split of the dataset's file, or their folders"
    )
    validation: Share | Scenes = Field(
        default=0.1, description="the share of train's scenes held out, the last ones; or as train"
    )
    test: Scenes = Field(default="val", description="as train; DDAD has no truth for its test")
    partial: bool = Field(
        default=False, description="leave out, and count, scenes that the disk does not have"
    )
    fill: Method = Field(default="none", description=FILL)
    bad_share: float = Field(default=BAD_SHARE, ge=0, lt=1, description=BAD_SHARE_TEXT)
    protocol: Literal["ddad"] = Field(default="ddad", description="no crop, 0-200 m")

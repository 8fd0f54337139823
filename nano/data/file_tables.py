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

Pixels = Annotated[int, Field(gt=0)]
Size = tuple[Pixels, Pixels]

BAD_SHARE = 0.01
ROOT = "the folder that holds the data; a relative one starts at the study file's folder"
SIZE = "height and width of the network's input"


class FolderTable(BaseModel):
    """[data] with ``set = "folder"``: a person's own images and depth, see `nano.data.folder`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: Literal["folder"]
    root: str = Field(description=ROOT)
    size: Size = Field(default=(96, 128), description=SIZE)
    bad_share: float = Field(
        default=BAD_SHARE,
        ge=0,
        lt=1,
        description="share of a split's frames that may be unusable: they are left out, counted"
        " and listed; with more the split is refused",
    )
    protocol: Literal["folder"] = Field(
        default="folder", description="no crop, the depth range of the manifest"
    )

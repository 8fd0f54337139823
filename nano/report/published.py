"""Rows that others published: quoted, never measured here, and drawn only beside like data.

Source: Wang, Famouri, Wong 2020 (DepthNet Nano), Table 1: KITTI, Eigen test split, Eigen's crop,
0-80 m; and Table 2: speed on a Jetson. A value that we have no text for is None, not remembered.
"""

from __future__ import annotations

from dataclasses import dataclass

from nano.records import Accuracy

SOURCE = "DepthNet Nano (Wang, Famouri, Wong 2020), Table 1"
CAVEAT = (
    "Quoted from " + SOURCE + ": KITTI, Eigen test split. Accuracies on other data, with other "
    "truth, another crop or another amount of training cannot be compared with them."
)
# The Eigen list has 697 images, 652 of which have annotated truth; a sample of it is another test.
EIGEN_TEST_IMAGES = (652, 697)
_COMPARABLE_PROTOCOL = "eigen652-annotated (crop eigen,"


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One network of the paper's Table 1; lengths in metres.

    Attributes:
        name: The network, with its first author.
        network: What it is called here, for `nano.networks.catalog`.
        params: Parameters.
        macs: Multiply-accumulates of one pass at ``size``.
        size: Input height and width in pixels.
        delta1: Share of pixels within a factor of 1.25, and so on for the other metrics.
    """

    name: str
    network: str
    params: float
    macs: float
    size: tuple[int, int]
    delta1: float | None = None
    delta2: float | None = None
    delta3: float | None = None
    abs_rel: float | None = None
    sq_rel: float | None = None
    rmse: float | None = None
    rmse_log: float | None = None


PUBLISHED = (
    PublishedRow(name="DORN (Fu)", network="dorn", params=99.8e6, macs=258e9, size=(385, 513)),
    PublishedRow(
        name="DenseDepth (Alhashim)",
        network="densedepth",
        params=42.8e6,
        macs=196e9,
        size=(384, 1280),
        delta1=0.886,
        delta2=0.965,
        delta3=0.986,
        abs_rel=0.093,
        sq_rel=0.589,
        rmse=4.170,
        rmse_log=0.171,
    ),
    PublishedRow(
        name="DepthNet Nano (Wang)",
        network="depthnet-nano",
        params=1.75e6,
        macs=4.66e9,
        size=(384, 1280),
        delta1=0.894,
    ),
)

SPEED_SOURCE = "DepthNet Nano (Wang, Famouri, Wong 2020), Table 2"


@dataclass(frozen=True, kw_only=True)
class PublishedSpeed:
    """One row of the paper's Table 2, whose power was not measured.

    Attributes:
        name: The network, with its first author.
        network: What it is called here, for `nano.networks.catalog`.
        budget_w: Nominal budget of the device's power mode, by which the paper names the mode.
        fps: Images a second.
        images_per_s_w: As printed.
    """

    name: str
    network: str
    budget_w: int
    fps: float
    images_per_s_w: float


SPEED_DEVICE = "Jetson AGX Xavier"
PUBLISHED_SPEEDS = tuple(
    PublishedSpeed(name=name, network=network, budget_w=budget, fps=fps, images_per_s_w=printed)
    for name, network, budget, fps, printed in (
        ("DenseDepth (Alhashim)", "densedepth", 30, 3.00, 0.100),
        ("DenseDepth (Alhashim)", "densedepth", 15, 1.65, 0.110),
        ("DepthNet Nano (Wang)", "depthnet-nano", 30, 13.92, 0.464),
        ("DepthNet Nano (Wang)", "depthnet-nano", 15, 7.70, 0.513),
    )
)


def comparable(accuracy: Accuracy) -> bool:
    """Whether an accuracy may stand in one picture with the published rows.

    Only KITTI's whole Eigen test list under the paper's protocol qualifies: the kind of truth
    alone moves AbsRel by a factor of two.
    """
    return (
        "kitti" in accuracy.data.lower()
        and accuracy.protocol.startswith(_COMPARABLE_PROTOCOL)
        and accuracy.images in EIGEN_TEST_IMAGES
    )

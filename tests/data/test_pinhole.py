"""Poses and the pinhole camera, against hand-computed and reversed motions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.data.pinhole import inverse, project_points, rigid, rotation

CAMERA = np.array([[40.0, 0.0, 40.0], [0.0, 40.0, 12.0], [0.0, 0.0, 1.0]])
SIZE = (24, 80)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    half = np.sqrt(0.5)
    np.testing.assert_allclose(rotation(half, 0, 0, half) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(half, half, 0, 0) @ [0, 1, 0], [0, 0, 1], atol=1e-12)


QUATERNIONS = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(QUATERNIONS, st.tuples(*[st.floats(-100, 100)] * 3))
def test_every_pose_is_rigid_and_undone_by_its_inverse(
    quaternion: tuple[float, float, float, float], shift: tuple[float, float, float]
) -> None:
    turn = rotation(*quaternion)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    pose = rigid(turn, np.array(shift))
    np.testing.assert_allclose(inverse(pose) @ pose, np.eye(4), atol=1e-9)


@given(st.integers(0, 79), st.integers(0, 23), st.floats(0.5, 250))
def test_a_point_lands_in_the_pixel_that_it_was_lifted_from(
    column: int, row: int, z: float
) -> None:
    x, y = (column + 0.5 - 40) * z / 40, (row + 0.5 - 12) * z / 40
    depth = project_points(np.array([[x, y, z]]), np.eye(4), CAMERA, SIZE)
    assert depth[row, column] == pytest.approx(z)
    assert np.count_nonzero(depth) == 1


def test_the_nearest_of_several_points_is_seen_in_any_order() -> None:
    ray = np.array([[0.1, 0.1, 1.0]])
    for distances in ([5.0, 9.0, 7.0], [9.0, 7.0, 5.0]):
        points = np.concatenate([ray * z for z in distances])
        assert project_points(points, np.eye(4), CAMERA, SIZE).max() == 5.0


@pytest.mark.parametrize(
    "point",
    [[0, 0, -5], [0, 0, 0], [-10.01, 0, 10], [10.0, 0, 10], [0, -3.001, 10], [0, 3.0, 10]],
)
def test_points_behind_or_beside_the_image_are_not_seen(point: list[float]) -> None:
    depth = project_points(np.array([point], float), np.eye(4), CAMERA, SIZE)
    assert not depth.any()


def test_skew_moves_a_point_sideways_by_its_height() -> None:
    skewed = CAMERA.copy()
    skewed[0, 1] = 10.0
    depth = project_points(np.array([[0.01, 2.0, 10.0]]), np.eye(4), skewed, SIZE)
    assert np.argwhere(depth).tolist() == [[20, 42]]

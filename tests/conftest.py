"""Settings of hypothesis for every room: no test depends on how busy the machine is."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "nano", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("nano")

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as nano.explore sets it, before numpy comes

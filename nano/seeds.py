"""Seeds derived from names: the same parts give the same seed on any machine and process."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2**31) from the parts, e.g. ``derive_seed(study.seed, "start", trial.number)``.

    Hashed rather than added, so that neighbouring studies and trials share no stream; 31 bits
    because numpy, torch and Optuna all take them.
    """
    text = "/".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1

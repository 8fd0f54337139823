"""Our own speed, measured: each module has ``measure() -> dict`` and runs alone or by `run`."""

"""Generative-synthesis explorer for compact monocular-depth networks.

The public names load on first use, so that ``--help`` of a command stays instant::

    import nano

    design = nano.preset("depthnet-nano")
    print(nano.count(design, (384, 1280)).macs)
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "nano.cost.count": ("Cost", "count"),
    "nano.design.design": ("Design", "Module", "Stage", "Stem", "Upconv"),
    "nano.design.knobs": ("Knob",),
    "nano.design.presets": ("load_design", "preset", "prototype"),
    "nano.design.prototype": ("Prototype",),
    "nano.errors": ("Diverged", "InputError", "NanoError", "OutputError"),
    "nano.networks.depthnet": ("DepthNet", "build"),
    "nano.networks.model": ("Model", "load_model", "save_model"),
    "nano.records": ("Accuracy", "Confirmation", "Evaluation", "Measurement", "Protocol"),
    "nano.score": ("Requirements", "Utility", "netscore"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nano' has no public name {name!r}")
    return getattr(import_module(_HOME[name]), name)

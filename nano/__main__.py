"""``python -m nano``: the commands, one line each."""

from __future__ import annotations

from collections.abc import Sequence

from nano.console import run

COMMANDS = {
    "nano.explore": "search networks that meet a study's requirements, train and report them",
    "nano.describe": "the layer table and the cost of a design",
    "nano.data": "check, prepare and preview data sets",
    "nano.train": "train one design",
    "nano.train.prune": "narrow a trained FastDepth until a budget is met (NetAdapt)",
    "nano.evaluate": "the eight depth metrics of a trained model",
    "nano.export": "a trained model as ONNX, float16 or int8, or a folder to deploy",
    "nano.bench": "latency and energy, here or on a Jetson; read the logs of devices",
    "nano.report": "rebuild a run's report.html and trials.csv from its records",
    "nano.dashboard": "Optuna's dashboard of a run, in the browser, requirements respected",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every command with what it is for."""
    width = max(map(len, COMMANDS))
    for name, purpose in COMMANDS.items():
        print(f"python -m {name:<{width}}  {purpose}")
    print("Each one tells its options with --help.")
    return 0


if __name__ == "__main__":
    run(main)

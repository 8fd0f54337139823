"""The page's words: the conditions of a study, its limits, and how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from nano.records import Accuracy, Spend, spend
from nano.report import numbers
from nano.report.markup import Html, join, tag
from nano.report.run import Run

_FEW_IMAGES = 200  # below it, delta1 of a split moves by about a percent with the frames chosen
_FEW_SEEDS = 5


def conditions(run: Run) -> Html:
    """Everything that gives the numbers their meaning, as a list of terms."""
    about, study = run.about, run.study
    spent = spend(run.evaluations, run.confirmations)
    pairs = [
        ("study", run.name),
        ("data", _captions(run)),
        ("data set", told(study.get("data"))),
        ("protocol", told(about.get("protocol"))),
        ("requirements", run.requirements.describe() + _safety_note(run)),
        ("utility", _utility(run)),
        ("generator", told(about.get("generator")) or _generator(study)),
        ("prototype", _prototype(study)),
        ("stages", told(study.get("stages"))),
        ("spend", f"{numbers.count(spent.images)} training images in all"),
        ("time", _time(run, spent)),
        ("seed", told(about.get("seed", study.get("seed")))),
        ("machine", told(about.get("machine"))),
        ("versions", told(about.get("versions"))),
        ("commit", told(about.get("commit"))),
        ("space", told(about.get("space"))),
    ]
    return tag("dl", *(part for name, text in pairs if text for part in _pair(name, text)))


def _pair(name: str, text: str) -> tuple[Html, Html]:
    return tag("dt", name), tag("dd", text)


def _safety_note(run: Run) -> str:
    asks_more = any(requirement.safety for requirement in run.requirements.items)
    return " (what follows the sign is the safety asked in the search)" if asks_more else ""


def _captions(run: Run) -> str:
    """Captions of the splits: as recorded for the run, else those that accuracies carry."""
    data = run.about.get("data")
    if isinstance(data, Mapping):
        return "; ".join(f"{split}: {told(caption)}" for split, caption in data.items())
    seen, tested = an_observed_accuracy(run), a_confirmed_accuracy(run)
    parts = [
        f"{use}: {accuracy.data}"
        for use, accuracy in (("searched on", seen), ("confirmed on", tested))
        if accuracy and accuracy.data
    ]
    return told(data) or "; ".join(parts)


def _utility(run: Run) -> str:
    text = told(run.about.get("utility"))
    return f"NetScore = {text}" if text and not text.lower().startswith("netscore") else text


def _generator(study: Mapping[str, Any]) -> str:
    table = study.get("generator")
    return told(table.get("kind")) if isinstance(table, Mapping) else told(table)


def _prototype(study: Mapping[str, Any]) -> str:
    table = study.get("prototype")
    return told(table.get("preset", table)) if isinstance(table, Mapping) else told(table)


def _time(run: Run, spent: Spend) -> str:
    work = f"{numbers.duration(spent.busy_seconds)} of work"
    return work if run.seconds is None else f"{numbers.duration(run.seconds)} by the clock, {work}"


def told(value: Any) -> str:
    """Recorded plain data in one line: ``cores 2, platform Linux``; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_inner(item)}" for name, item in value.items() if told(item))
    if isinstance(value, list | tuple):
        return ", ".join(_inner(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _inner(item: Any) -> str:
    return f"({told(item)})" if isinstance(item, Mapping) else told(item)


def a_confirmed_accuracy(run: Run) -> Accuracy | None:
    """Any confirmation's accuracy: data and protocol are the same for all."""
    return next((c.accuracy for c in run.confirmations if c.accuracy), None)


def an_observed_accuracy(run: Run) -> Accuracy | None:
    """Any trial's accuracy in the search."""
    return next((e.accuracy for e in run.evaluations if e.accuracy), None)


def limits(run: Run) -> Html:
    """What the numbers cannot carry, said from the records themselves."""
    tested, seen = a_confirmed_accuracy(run), an_observed_accuracy(run)
    accuracy = tested or seen
    sentences = []
    if accuracy is not None:
        sentences.append(
            f"Accuracy holds for these data and this protocol only ({accuracy.data or 'unnamed'}). "
            "delta1 on other data, with other truth or another crop is another quantity: it cannot "
            "be set beside a number from elsewhere."
        )
        if accuracy.images is not None and accuracy.images < _FEW_IMAGES:
            sentences.append(
                f"It is the mean over {accuracy.images} images: another choice of frames would "
                "move it by more than the designs differ. The deviation over seeds does not hold "
                "this part."
            )
    if not run.confirmations:
        sentences.append(
            "Nothing was confirmed: the best of many noisy observations is too good on average."
        )
    else:
        fewest = min(len(confirmation.readings) for confirmation in run.confirmations)
        if fewest < _FEW_SEEDS:
            sentences.append(
                f"{fewest} fresh seed{'s' * (fewest != 1)} per finalist: a deviation from so few "
                "is itself uncertain, and differences of about its size are not differences."
            )
    sentences += [
        "The search trains briefly. Longer training lifts every design, and not each by the same "
        "amount: the order may change.",
        _latency(run),
        "One search with one seed: another seed finds other designs of about the same worth.",
    ]
    return tag("ul", *(tag("li", sentence) for sentence in sentences))


def _latency(run: Run) -> str:
    measured = [e.measurements[-1] for e in run.evaluations if e.measurements]
    if not measured:
        return (
            "MACs and parameters are exact; neither is latency. How fast a network runs has to be "
            "measured on the device."
        )
    devices = " and ".join(dict.fromkeys(f"{m.device}, {m.runtime or 'its own'}" for m in measured))
    noisy = sum(bool(m.disturbed) for m in measured)
    return f"Latency holds for this device and runtime only: {devices}. " + (
        f"{noisy} of {len(measured)} designs were measured while the machine was not quiet: their "
        "latency is an upper bound."
        if noisy
        else "All designs were measured on a quiet machine."
    )


def _command(command: Any) -> str:
    """A recorded command as one would type it; ``python -m`` for a package's ``__main__.py``."""
    if not isinstance(command, Mapping) or not isinstance(command.get("argv"), list):
        return told(command)
    words = [str(word) for word in command["argv"]]
    when = f"  # {told(command['when'])}" if "when" in command else ""
    if words and words[0].endswith("__main__.py"):
        room = PurePath(words[0]).parent.name
        return f"python -m nano.{room} {shlex.join(words[1:])}".rstrip() + when
    return shlex.join(words) + when


def again(run: Run) -> Html:
    """Commands that were run, the seed, and where the pieces are."""
    commands = run.about.get("commands")
    recorded = [_command(command) for command in commands] if isinstance(commands, list) else []
    lines = recorded or ["python -m nano.explore study.toml"]
    seed = told(run.about.get("seed", run.study.get("seed")))
    commit = told(run.about.get("commit"))
    where = f" at commit {commit}" if commit else ""
    text = (
        f"The study file as it was run is study.toml in the run folder{where}"
        + (f"; its seed is {seed}" if seed else "")
        + ". The same file, seed, versions and number of workers on the same kind of machine "
        "propose the same designs; other hardware rounds differently, and a search magnifies that. "
        "Any design can be rebuilt from its design.json alone:"
    )
    other = (
        "python -m nano.describe RUN/best/design.json\n"
        "python -m nano.report RUN        # this page and trials.csv, from the records"
    )
    commands_shown = tag("pre", tag("code", "\n".join(lines)))
    return join([commands_shown, tag("p", text), tag("pre", tag("code", other))])

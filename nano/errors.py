"""The tree of errors, and the exit code that each branch ends a command with.

NanoError
├── InputError            what a person gave is wrong: exit 2, one line
│   ├── StudyError        a study file: its keys, types, requirements
│   ├── DesignError       a design or prototype that cannot exist
│   ├── DataError         images, depth maps, calibrations, caches
│   ├── RunError          a run folder or storage: foreign, unwritable, changed space
│   └── MissingPackage    an optional package, with the command that brings it
├── OutputError           the machine cannot keep what was made (a full disk): exit 2
├── DeviceFailed          a device that gave no measurement, and may come back: exit 2
├── Diverged              a training ended by NaN or explosion: ends that training, never a study
└── Raised                a user's own function raised something: likewise
"""

from __future__ import annotations


class NanoError(Exception):
    """Base of every error that the package raises on purpose."""


class InputError(NanoError):
    """Something a person gave is wrong: the message says what, where and what would be right."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: the one line that a command would print."""
        return [str(self)]


class StudyError(InputError):
    """A study file, or an override of it, is wrong."""


class DesignError(InputError, ValueError):
    """A design, a prototype or a size from which no network can be built.

    A ValueError too: then pydantic, reading a file, says at which module it was raised.
    """


class DataError(InputError):
    """Images, depth maps, calibration files or caches that are missing, damaged or foreign."""


class RunError(InputError):
    """A run folder or storage that cannot be used for this study."""


class MissingPackage(InputError):  # reads as a sentence where it is raised
    """An optional package is not installed; the message holds the command that brings it."""


class OutputError(NanoError):
    """A result could not be written; nothing that stood there before was harmed."""


class DeviceFailed(NanoError):  # the text says how
    """A device broke, went away, or did not answer while something was measured on it."""


class Diverged(NanoError):  # a finding about a network, not a mistake
    """A training whose loss or activations stopped being finite, or exploded."""


class Raised(NanoError):  # the text says which function, and what
    """A function of the user's, in place of a training, raised an exception."""


EXIT_FEASIBLE = 0
EXIT_BUG = 1
EXIT_INPUT = 2
EXIT_NONE_FEASIBLE = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

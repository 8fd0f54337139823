"""Patience with a database that went away: it is asked again until it is back, or for too long.

Only what a lost connection raises is met with patience; a full disk or a bug is told at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

import optuna
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

from nano.errors import RunError
from nano.explore.reading import Storage
from nano.explore.said import redacted, said

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0  # seconds between two tries
_Result = TypeVar("_Result")


@dataclass(kw_only=True)
class Outage:
    """How long a process waits for its database.

    Attributes:
        where: The storage, for messages.
        seconds: That it may be away; then the command ends, to be run again.
        note: Who is told that it went and that it came back.
        asked_to_stop: Whether somebody asked to stop: nobody waits then.
    """

    where: str
    seconds: float = 0.0
    note: Callable[[str], None] = field(default=lambda text: None)
    asked_to_stop: Callable[[], bool] = field(default=lambda: False)
    _over: bool = False

    def endured(self, operation: Callable[[], _Result]) -> _Result:
        """What ``operation`` returns, tried again for as long as there is patience.

        Raises:
            RunError: The database stayed away.
            KeyboardInterrupt: Likewise, and somebody asked to stop meanwhile.
        """
        lost_at: float | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                result = operation()
            except Exception as error:
                if not is_lost(error):
                    raise
                now = time.monotonic()
                if lost_at is None:
                    lost_at = now
                    self._say_lost(error)
                self._check_patience(now - lost_at, error)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            if lost_at is not None:
                self.note(f"storage {self.where}: back after {time.monotonic() - lost_at:.0f} s")
            return result

    def _say_lost(self, error: Exception) -> None:
        if not self._over:
            self.note(
                f"storage {self.where}: lost ({said(error)}); trying again for"
                f" {self.seconds / 60:.3g} min, trainings go on meanwhile"
            )

    def _check_patience(self, waited: float, error: Exception) -> None:
        if self.asked_to_stop():
            self._over = True
            raise KeyboardInterrupt from error
        if self._over or waited >= self.seconds:
            self._over = True  # what is tidied up at the end waits no more
            raise RunError(
                f"storage {self.where}: lost: {said(error)}; the same command goes on from what"
                " it holds"
            ) from error


def is_lost(error: BaseException | None) -> bool:
    """Whether the connection to a server is what failed, somewhere in the chain of an error."""
    while error is not None:
        if isinstance(error, OperationalError | InterfaceError | PendingRollbackError):
            return True
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        error = error.__cause__
    return False


class PatientStorage(Storage):
    """Optuna's storage in a server's database, every operation of which endures an outage.

    An operation whose answer was lost may have been done: what only sets a value is the same when
    done twice; a trial that was made and not heard of is found by `Store.recover`.
    """

    def __init__(self, url: str, outage: Outage, **options: Any) -> None:
        self.outage = Outage(where=redacted(url))  # opening has none: a wrong URL is told at once
        super().__init__(url, **options)
        self.outage = outage


_OPERATIONS = (  # that Optuna's cache and the study call
    "create_new_study get_study_id_from_name get_study_name_from_id get_study_directions"
    " set_study_user_attr set_study_system_attr get_study_user_attrs get_study_system_attrs"
    " get_all_studies _create_new_trial _set_trial_param get_trial_id_from_study_id_trial_number"
    " _get_best_trial_id set_trial_intermediate_value set_trial_user_attr set_trial_system_attr"
    " get_trial _get_trials set_trial_state_values"
)


def _patient(name: str) -> Callable[..., Any]:
    plain = getattr(Storage, name)

    @wraps(plain)
    def operation(self: PatientStorage, *arguments: Any, **more: Any) -> Any:
        tries = 0

        def once() -> Any:
            nonlocal tries
            tries += 1
            try:
                return plain(self, *arguments, **more)
            except optuna.exceptions.UpdateFinishedTrialError:
                if tries > 1 and name == "set_trial_state_values":
                    return True  # the first try had been kept, and only its answer was lost
                raise

        return self.outage.endured(once)

    return operation


for _name in _OPERATIONS.split():
    setattr(PatientStorage, _name, _patient(_name))

"""What a database says, for a person: one line, and no password in it."""

from __future__ import annotations

import re


def said(error: BaseException) -> str:
    """The first line of what the database itself says, deep in the chain, for a person."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "version_info" in first and ("no such table" in first or "does not exist" in first):
        return "it holds no studies"  # the first table that Optuna looks for
    return redacted(first)


def redacted(text: str) -> str:
    """A URL, or a text that holds one, without its password: before the host, or as an option."""
    text = re.sub(r"(://[^:/@\s]*):[^\n]*@", r"\1:***@", text)  # rather too much than too little
    return re.sub(r"(?i)([?&]\w*pass(?:word|wd)=)[^&\s]*", r"\1***", text)

"""HTML that cannot forget to escape: text is escaped, only `Html` passes as it is."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Html(str):
    """A piece of finished HTML; made by `tag` and `join`, or from text this package wrote."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return str(self)


def tag(name: str, *children: object, **attributes: object) -> Html:
    """``<name attribute="value">children</name>``; None children and attributes are left out.

    Attribute names lose a trailing underscore and turn inner ones into hyphens (``class_``,
    ``data_value``).
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Children one after the other; what is not Html is escaped."""
    return Html(
        "".join(
            child if isinstance(child, Html) else escape(str(child))
            for child in children
            if child is not None
        )
    )

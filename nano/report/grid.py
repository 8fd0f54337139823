"""One HTML table: cells, order, classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nano.report.markup import Html, tag


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A table cell that sorts by a number or carries a class."""

    content: str
    order: float | None = None
    kind: str | None = None


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    *,
    numeric: Iterable[int] = (),
    sortable: bool = False,
    classes: Sequence[str] = (),
    without: Iterable[str] = (),
) -> Html:
    """A table that scrolls sideways on its own where the page is narrow.

    Args:
        headings: Texts of the columns.
        rows: Cells; plain text is escaped.
        numeric: Columns that are set to the right.
        sortable: Whether headings sort.
        classes: One per row, or none.
        without: Headings whose columns are left out, because no record has a value for them.
    """
    kept = [i for i, text in enumerate(headings) if text not in set(without)]
    right = set(numeric)

    def heading(i: int, text: str) -> Html:
        label = tag("button", text, type="button") if sortable else text
        return tag("th", label, scope="col", class_="n" if i in right else None)

    def cell(i: int, value: str | Cell) -> Html:
        if not isinstance(value, Cell):
            value = Cell(content=value)
        kinds = " ".join(filter(None, ("n" if i in right else "", value.kind or "")))
        return tag("td", value.content, class_=kinds or None, data_order=value.order)

    body = [
        tag(
            "tr",
            *(cell(i, row[i]) for i in kept),
            class_=classes[number] or None if number < len(classes) else None,
        )
        for number, row in enumerate(rows)
    ]
    head = tag("thead", tag("tr", *(heading(i, headings[i]) for i in kept)))
    inner = tag("table", head, tag("tbody", *body), class_="sortable" if sortable else None)
    return tag("div", inner, class_="scroll")

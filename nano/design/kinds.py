"""Designs of any family: one type, and how their JSON is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args

from nano.design.design import Design
from nano.design.fastdepth import FastDepthDesign
from nano.errors import DesignError
from nano.files import from_plain, member_tag, read_json

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class _ToldApart:
    """Has pydantic read a design by its own family's fields, so that errors are about those."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.tagged_union_schema(
            {member_tag(kind): handler.generate_schema(kind) for kind in get_args(source)},
            discriminator=lambda plain: member_tag(_kind(plain)),
        )


AnyDesign: TypeAlias = Annotated[Design | FastDepthDesign, _ToldApart()]


def _kind(plain: Any) -> type[Design] | type[FastDepthDesign]:
    """What parsed JSON, or a design itself, is a design of."""
    named = isinstance(plain, FastDepthDesign) or (
        isinstance(plain, Mapping) and "network" in plain
    )
    return FastDepthDesign if named else Design


def design_from_plain(plain: Any, where: str) -> Design | FastDepthDesign:
    """The design in parsed JSON; raises a DesignError that names ``where`` and the field."""
    kind: type[Any] = _kind(plain)
    design: Design | FastDepthDesign = from_plain(kind, plain, where, DesignError)
    return design


def read_design(path: Path) -> Design | FastDepthDesign:
    """Read a design.json; raises a DesignError that names the file and what is wrong."""
    return design_from_plain(read_json(path, DesignError), str(path))

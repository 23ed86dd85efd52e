"""The model as data: what its dataclasses declare, once, for the loader and for everything generated from it.

- Five shapes and no more: one value, a list, a table from names, a section, or a choice between a value and one of
  the others.
- A section's docstring and each field's `Doc` are the only source of the example, the JSON schema and the reference.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from asterisk_connector.config.kinds import BY_TYPE, Kind, choice


@dataclass(frozen=True)
class Doc:
    """What a setting means, in a sentence. `example` as written in YAML; `default` where words say it better."""

    text: str
    example: str = ""
    default: str = ""


@dataclass(frozen=True)
class Scalar:
    """One value."""

    kind: Kind


@dataclass(frozen=True)
class Listing:
    """A list of equal things."""

    item: Shape


@dataclass(frozen=True)
class Named:
    """A table from names the operator chooses to equal things."""

    value: Shape


@dataclass(frozen=True)
class Section:
    """A block of named settings."""

    cls: type
    doc: str
    entries: tuple[Entry, ...]

    def entry(self, name: str) -> Entry | None:
        """The setting of that name."""
        return next((entry for entry in self.entries if entry.name == name), None)


@dataclass(frozen=True)
class Either:
    """A value, or something that is not one: the writing tells which."""

    scalar: Scalar
    block: Listing | Named | Section


Shape = Scalar | Listing | Named | Section | Either


@dataclass(frozen=True)
class Entry:
    """One setting of a section. `optional` blocks are absent unless written."""

    name: str
    shape: Shape
    doc: Doc
    required: bool
    optional: bool
    default: Any

    @property
    def secret(self) -> bool:
        """Whether the value may also be given as `<name>_file` or as a credential."""
        return isinstance(self.shape, Scalar) and self.shape.kind.secret


@cache
def section(cls: type) -> Section:
    """The shape of a dataclass of the model."""
    hints = get_type_hints(cls, include_extras=True)
    entries = tuple(_entry(field, hints[field.name]) for field in dataclasses.fields(cls))
    return Section(cls, inspect.getdoc(cls) or "", entries)


def _entry(field: dataclasses.Field[Any], hint: Any) -> Entry:
    doc = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Doc)), Doc(""))
    default: Any = None
    required = False
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        required = True
    shape, optional = _shape(hint)
    return Entry(field.name, shape, doc, required, optional, default)


def _shape(hint: Any) -> tuple[Shape, bool]:
    """The shape of a type, and whether it may be absent (None)."""
    if get_origin(hint) is Annotated:
        kind = next((extra for extra in hint.__metadata__ if isinstance(extra, Kind)), None)
        return (Scalar(kind), False) if kind else _shape(hint.__origin__)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        members = [_shape(arg)[0] for arg in args if arg is not type(None)]
        return _either(members), type(None) in args
    if origin is Literal:
        return Scalar(choice(args)), False
    if origin is tuple:
        return Listing(_shape(args[0])[0]), False
    if origin is Mapping or origin is dict:
        return Named(_shape(args[1])[0]), False
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return section(hint), False
    return Scalar(BY_TYPE[hint]), False


def _either(members: list[Shape]) -> Shape:
    scalars = [shape for shape in members if isinstance(shape, Scalar)]
    blocks = [shape for shape in members if not isinstance(shape, Scalar | Either)]
    if not blocks:
        return scalars[0]
    return Either(scalars[0], blocks[0]) if scalars else blocks[0]

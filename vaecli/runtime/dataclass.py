"""The `dataclass` of this package: that of the standard library, defined in a quarter of the time.

The standard library compiles six methods for every frozen class, one by one, which takes half a millisecond; a short
command defines a hundred classes and more. Here only `__init__` is compiled. The other methods are functions that look
up the fields, the same for all classes. `dataclasses.fields`, `replace` and `asdict` know these classes as their own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool = False, slots: bool = False, weakref_slot: bool = False):
        """A decorator that makes a class one of fields, as `dataclasses.dataclass` does with the same settings.

        Methods that the class defines itself stay. Two instances are equal if they are of one class and all their
        compared fields are; a frozen one has a hash. Raises TypeError for a field without a default after one with it,
        and ValueError for a mutable default.
        """

        def decorated(cls: type) -> type:
            own = vars(cls)
            if own.get("__doc__") is None:
                cls.__doc__ = cls.__name__  # else the library writes the signature of a method that is not there yet
            has_hash = own.get("__hash__") is not None
            cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, weakref_slot=weakref_slot)(cls)
            methods = {"__init__": _init(cls), "__repr__": _repr, "__eq__": _eq}
            if frozen:
                methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
                if slots:
                    methods |= {"__getstate__": _state, "__setstate__": _set_state}
            for name, method in methods.items():
                if name not in vars(cls):
                    setattr(cls, name, method)
            if not has_hash:
                cls.__hash__ = _hash if frozen else None
            cls._compared = staticmethod(_values_of([one.name for one in dataclasses.fields(cls) if one.compare]))
            return cls

        return decorated


def _init(cls: type) -> Any:
    """The method that takes the fields in order, and those after `KW_ONLY` by name."""
    fields = dataclasses.fields(cls)
    values: dict[str, Any] = {"SET": object.__setattr__, "UNSET": MISSING}
    values |= {f"DEFAULT_{field.name}": field.default for field in fields if field.default is not MISSING}
    values |= {f"MAKE_{field.name}": field.default_factory for field in fields if _is_made(field)}
    in_order = [_parameter(field) for field in fields if field.init and not field.kw_only]
    by_name = [_parameter(field) for field in fields if field.init and field.kw_only]
    if in_order != sorted(in_order, key=lambda one: "=" in one):
        raise TypeError(f"{cls.__qualname__}: a field without a default follows one with it")
    parameters = ", ".join(["self", *in_order, *(["*", *by_name] if by_name else [])])
    body = [f"SET(self, {field.name!r}, {_value(field)})" for field in fields if _value(field)]
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    lines = [f"def make({', '.join(values)}):", f" def __init__({parameters}):"]
    lines += [f"  {line}" for line in body or ["pass"]]
    made: dict[str, Any] = {}
    exec("\n".join([*lines, " return __init__"]), {}, made)  # it holds names of fields and nothing else
    init = made["make"](**values)
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _is_made(field: Field[Any]) -> bool:
    return field.default_factory is not MISSING


def _parameter(field: Field[Any]) -> str:
    if _is_made(field):
        return f"{field.name}=UNSET"
    return field.name if field.default is MISSING else f"{field.name}=DEFAULT_{field.name}"


def _value(field: Field[Any]) -> str:
    """What a field is set to; nothing where `__post_init__` sets it."""
    name = field.name
    if _is_made(field):
        return f"MAKE_{name}() if {name} is UNSET else {name}" if field.init else f"MAKE_{name}()"
    if field.init:
        return name
    return "" if field.default is MISSING else f"DEFAULT_{name}"


def _values_of(names: list[str]) -> Any:
    """A function from an instance to the tuple of its values of these fields."""
    if not names:
        return lambda _: ()
    return attrgetter(*names) if len(names) > 1 else attrgetter(*names, *names)  # which gives no tuple for one name


@recursive_repr("...")
def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: Any) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return bool(self._compared(self) == self._compared(other))


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)

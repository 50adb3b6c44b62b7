"""The dataclass of this package does what that of the standard library does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import weakref
from collections.abc import Callable
from dataclasses import KW_ONLY, FrozenInstanceError, field
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from vaecli.runtime.dataclass import dataclass

T = TypeVar("T")
BOTH = pytest.mark.parametrize("make", [dataclass, dataclasses.dataclass], ids=["ours", "library"])
FORMS = pytest.mark.parametrize(
    "form", [{}, {"slots": True}, {"frozen": True}, {"frozen": True, "slots": True}], ids=str
)


@dataclass(frozen=True, slots=True)
class Point:
    """A class at module level, which can be pickled."""

    x: int
    y: float = 0.5
    names: list[str] = field(default_factory=list, compare=False)
    _: KW_ONLY
    sign: int = 1
    n_made: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Named(Point, Generic[T]):
    """A class of fields that has those of another."""

    of: T | None = None


@dataclass(slots=True)
class Count:
    """A class whose instances change."""

    n: int = 0


def of_fields(make: Callable[..., Any], form: dict[str, bool]) -> type:
    """A class with each kind of field, by one of the two decorators."""

    @make(**form)
    class Row:
        """A row."""

        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list)
        d: int = field(default=4, init=False, repr=False)
        e: dict[str, int] = field(default_factory=dict, init=False, compare=False)
        f: int = field(init=False, compare=False, repr=False)
        k: str = field(default="k", init=False)
        _: KW_ONLY
        g: int = 7
        h: int

        def __post_init__(self) -> None:
            object.__setattr__(self, "f", self.a + self.g)

    return Row


@FORMS
def test_instances_are_those_of_the_library(form: dict[str, bool]):
    """Values, text, equality, hash, fields, copies and patterns are the same for the same settings."""
    seen = []
    for make in (dataclass, dataclasses.dataclass):
        row = of_fields(make, form)
        one, same, other = row(1, h=8), row(1, "b", [], g=7, h=8), row(2, "c", [3], h=9)
        values = [(name, getattr(one, name)) for name in "abcdefghk"]
        changed = dataclasses.replace(other, b="d")
        kinds = [(f.name, f.kw_only) for f in dataclasses.fields(row)]
        of_class = (kinds, row.__match_args__, row.__doc__, row.__hash__ is None, hasattr(one, "__dict__"))
        of_pairs = (one == same, one != other, one == (1, "b"), copy.deepcopy(other) == other, one.c is not same.c)
        seen.append((values, repr(other), repr(changed), dataclasses.asdict(changed), of_class, of_pairs))
    assert seen[0] == seen[1]


@BOTH
def test_equal_values_have_equal_hashes(make: Callable[..., Any]):
    """A frozen instance is a key by its compared fields; one field, none, and values that equal nothing included."""

    @make(frozen=True, slots=True)
    class One:
        a: Any
        b: int = field(default=0, compare=False)

    @make(frozen=True)
    class Empty:
        pass

    nan = float("nan")
    assert {One(1): "x"}[One(1, 2)] == "x"
    assert One(nan) == One(nan)
    assert One(nan) != One(float("nan"))
    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())
    assert One(()) != Empty()


@BOTH
def test_what_is_frozen_stays(make: Callable[..., Any]):
    """No field of a frozen instance can be set or deleted; those of others can."""
    frozen, free = of_fields(make, {"frozen": True, "slots": True})(1, h=2), of_fields(make, {"slots": True})(1, h=2)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'a'"):
        frozen.a = 3
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'a'"):
        del frozen.a
    free.a = 3
    assert (frozen.a, free.a) == (1, 3)
    with pytest.raises(AttributeError):
        free.z = 1


@BOTH
def test_wrong_calls_are_refused(make: Callable[..., Any]):
    """A missing, an unknown and a repeated argument are a TypeError that names the class."""
    row = of_fields(make, {"frozen": True})
    for given, named in (((), {"h": 1}), ((1,), {}), ((1,), {"h": 1, "z": 2}), ((1, "b", [], 5), {"h": 1})):
        with pytest.raises(TypeError, match=r"Row\.__init__\(\)"):
            row(*given, **named)


@BOTH
def test_wrong_classes_are_refused(make: Callable[..., Any]):
    """A mutable default is a ValueError, a field without a default after one with it is no class."""
    with pytest.raises(ValueError, match="mutable default"):
        make(frozen=True)(type("Shared", (), {"__annotations__": {"a": list}, "a": []}))
    with pytest.raises(TypeError, match="default"):
        make(frozen=True)(type("Late", (), {"__annotations__": {"a": int, "b": int}, "a": 1}))


@BOTH
def test_own_methods_stay(make: Callable[..., Any]):
    """A class keeps the text, equality and hash that it defines."""

    @make(frozen=True, slots=True)
    class Own:
        a: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __hash__(self) -> int:
            return 5

    assert (repr(Own(1)), Own(1) == Own(2), hash(Own(1))) == ("own", True, 5)


def test_instances_travel():
    """An instance comes back from a pickle and a copy, frozen or not, with the fields of a base class."""
    for one in (Point(1, 2.5, ["a"], sign=-1), Named(3, of="x"), Count(4)):
        for back in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
            assert back is not one
            assert (back, repr(back)) == (one, repr(one))
    assert Point(1) != Named(1)
    assert repr(Named(1, of=Named(2))) == (
        "Named(x=1, y=0.5, names=[], sign=1, of=Named(x=2, y=0.5, names=[], sign=1, of=None))"
    )


def test_weak_references_are_asked_for():
    """`weakref_slot` makes an instance one that can be watched."""

    @dataclass(frozen=True, slots=True, weakref_slot=True)
    class Watched:
        a: int

    one = Watched(1)
    assert weakref.ref(one)() is one
    with pytest.raises(TypeError):
        weakref.ref(Point(1))


def test_a_circle_has_a_text():
    """An instance that holds itself is printed."""
    one = Point(1, names=[])
    one.names.append(one)
    assert repr(one) == "Point(x=1, y=0.5, names=[...], sign=1)"

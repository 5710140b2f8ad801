"""Eight float32 at once inside compiled loops, where the compiler does not see by itself that it may.

Numba keeps compiled loops by the date of the file they are in, not of this one: after a change here touch `stamps.py`.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

WIDTH = 8
"""Floats of a 256-bit register. Machines with shorter ones take two of them."""
_VECTOR = ir.VectorType(ir.FloatType(), WIDTH)
_FAST = ("nnan", "nsz", "contract")


class Floats(types.Type):
    """The type of eight floats."""

    def __init__(self) -> None:
        super().__init__(name="Floats8")


FLOATS = Floats()


@register_model(Floats)
class FloatsModel(models.PrimitiveModel):
    """They lie in one register."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]


def _inlined(code: Callable[..., Any]) -> Any:
    """A function of compiled loops, told by the instructions that it becomes."""
    return intrinsic(code)


def _place(context: Any, builder: Any, kind: Any, value: Any, index: Any) -> Any:
    """Where an element of a contiguous one-dimensional array lies, as a place for eight."""
    array = context.make_array(kind)(context, builder, value)
    return builder.bitcast(builder.gep(array.data, [index]), _VECTOR.as_pointer())


@_inlined
def load(typing: Any, array: Any, index: Any) -> Any:
    """`array[index : index + 8]` of float32, unchecked."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *given), align=4)

    return FLOATS(array, types.intp), code


@_inlined
def store(typing: Any, array: Any, index: Any, values: Any) -> Any:
    """`array[index : index + 8] = values`, unchecked."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        builder.store(given[2], _place(context, builder, signature.args[0], *given[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, values), code


@_inlined
def splat(typing: Any, value: Any) -> Any:
    """One float eight times."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _spread(builder, given[0])

    return FLOATS(types.float32), code


def _spread(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


def _binary(operation: Callable[[Any, Any, Any], Any]) -> Any:
    def typed(typing: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            return operation(builder, *given)

        return FLOATS(FLOATS, FLOATS), code

    return _inlined(typed)


def _chosen(order: str) -> Callable[[Any, Any, Any], Any]:
    def operation(builder: Any, a: Any, b: Any) -> Any:
        return builder.select(builder.fcmp_ordered(order, a, b), a, b)

    return operation


times = _binary(lambda builder, a, b: builder.fmul(a, b, flags=_FAST))
larger = _binary(_chosen(">"))
smaller = _binary(_chosen("<"))


@_inlined
def plus_times(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once where the machine can."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.fadd(builder.fmul(given[0], given[1], flags=_FAST), given[2], flags=_FAST)

    return FLOATS(FLOATS, FLOATS, FLOATS), code


@_inlined
def largest(typing: Any, values: Any) -> Any:
    """The largest of the eight."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        most = builder.extract_element(given[0], ir.Constant(ir.IntType(32), 0))
        for lane in range(1, WIDTH):
            one = builder.extract_element(given[0], ir.Constant(ir.IntType(32), lane))
            most = builder.select(builder.fcmp_ordered(">", one, most), one, most)
        return most

    return types.float32(FLOATS), code

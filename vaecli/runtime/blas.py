"""One thread of BLAS while rows are computed, so that threads of ours share the cores and sums keep their bits."""

from __future__ import annotations

import ctypes
import importlib
from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController

from vaecli.errors import EnvironmentProblem
from vaecli.runtime.parallel import n_cores
from vaecli.runtime.process_limits import MB, left, most_threads

_BUFFER = 32 * MB  # of each thread that multiplies matrices, as OpenBLAS is built for x86-64
_reserved: set[str] = set()  # the libraries that have their buffers


def one_blas_thread() -> AbstractContextManager[object]:
    """A block in which the BLAS of NumPy, which is imported before the first call, uses one thread.

    Which libraries there are is looked up once: it takes longer than to score a row.
    """
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


def load_for_fits() -> None:
    """Where the memory of a process is limited, load the OpenBLAS of SciPy before a table takes what it asks for."""
    if most_threads() is not None:
        importlib.import_module("scipy.linalg")
        reserve_buffers()


def reserve_buffers(controller: ThreadpoolController | None = None) -> None:
    """Where the memory of a process is limited, have OpenBLAS fetch now what it wants to multiply matrices.

    It keeps what it has, and where it gets nothing it leaves with exit code 1 or asks again for ever. Raises
    EnvironmentProblem where the limit leaves too little.
    """
    most = most_threads()
    if most is None:
        return
    n = min(most, n_cores()) + 1  # the main thread
    for library in (controller or ThreadpoolController()).lib_controllers:
        is_openblas = library.internal_api == "openblas" and hasattr(library.dynlib, "blas_memory_alloc")
        if not is_openblas or library.filepath in _reserved:
            continue
        _reserved.add(library.filepath)
        if (left() or 0) < n * _BUFFER:
            raise EnvironmentProblem("the limit on the memory of a process leaves too little", "raise `ulimit -v`")
        allocate, free = library.dynlib.blas_memory_alloc, library.dynlib.blas_memory_free
        allocate.restype, allocate.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_int], [ctypes.c_void_p]
        for buffer in [allocate(0) for _ in range(n)]:
            free(buffer)


@cache
def _controller() -> ThreadpoolController:
    controller = ThreadpoolController()
    reserve_buffers(controller)
    return controller

"""One thread of BLAS while rows are computed, so that threads of ours share the cores and sums keep their bits."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """A block in which the BLAS of NumPy, which is imported before the first call, uses one thread.

    Which libraries there are is looked up once: it takes longer than to score a row.
    """
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()

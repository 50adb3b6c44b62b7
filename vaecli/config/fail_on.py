"""`--fail-on`: when the number of flagged rows becomes an exit code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaecli.errors import UsageError

if TYPE_CHECKING:
    from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Gate:
    """When `--fail-on` is met: more than `limit` flagged rows, or more than that share of the rows."""

    limit: Fraction  # exact: 0.29 * 100 is 28.999…, and 29 flagged rows of 100 are not more than 29 %
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Gate:
        """The gate that `any`, a count `N` or a share `P%` describes. Raises UsageError for any other text."""
        from fractions import Fraction

        if text == "any":
            return cls(Fraction(0), is_share=False)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text)
        if not match or (not match[2] and "." in match[1]) or (match[2] and float(match[1]) > 100):
            raise UsageError(f"--fail-on {text!r} is not any, a count or a share", "for example: any, 10 or 2.5%")
        return cls(Fraction(match[1]) / (100 if match[2] else 1), is_share=bool(match[2]))

    def is_met(self, n_flagged: int, n_rows: int) -> bool:
        """Whether more than the limit was flagged."""
        return n_flagged > (self.limit * n_rows if self.is_share else self.limit)

"""Says whether a call that failed is made again, and after how long: never too late, and never twice by mistake."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from mkdserve.client.errors import ClientError, Overloaded, ServiceFault, ServiceUnreachable, Unavailable

REFUSED_BEFORE_ANYTHING = frozenset({"overloaded", "not_ready", "shutting_down"})
SWITCHED_OFF = frozenset({"feedback_off", "trainings_off"})  # waiting does not help
MAY_PASS = frozenset({"inference_failed", "http_502", "http_504"})


@dataclass(frozen=True)
class Retries:
    """At most `attempts` in all, the first among them; 1 for none.

    The wait before attempt n + 1 is drawn from [b / 2, b], b = min(`longest_s`, `first_s` * 2**(n - 1)): many clients
    that were refused together do not come back together. A Retry-After of the service is waited for in full, with up
    to `first_s` on top.
    """

    attempts: int = 4
    first_s: float = 0.1
    longest_s: float = 5.0

    def wait_s(
        self,
        failed: int,
        error: ClientError,
        left_s: float,
        *,
        repeatable: bool = True,
        draw: Callable[[], float] = random.random,
    ) -> float | None:
        """Seconds to wait after `failed` attempts, None where `error` is final.

        `left_s` is what is left of the deadline: a wait that would use it up is not begun. `repeatable` says whether
        doing it twice does no harm; else only what has surely not been done is asked for again. `draw` gives numbers
        in [0, 1).
        """
        if failed >= self.attempts or not may_pass(error, repeatable=repeatable):
            return None
        if error.retry_after_s is not None:
            wait = error.retry_after_s + self.first_s * draw()
        else:
            wait = min(self.longest_s, self.first_s * 2 ** (failed - 1)) * (1 + draw()) / 2
        return wait if wait < left_s else None


def may_pass(error: ClientError, *, repeatable: bool) -> bool:
    """Whether the same request can be answered otherwise a little later, and may be sent once more."""
    if isinstance(error, ServiceUnreachable):
        return repeatable or not error.sent
    if error.code in REFUSED_BEFORE_ANYTHING:
        return True
    if isinstance(error, Overloaded | Unavailable):
        return repeatable and error.code not in SWITCHED_OFF
    return repeatable and isinstance(error, ServiceFault) and error.code in MAY_PASS

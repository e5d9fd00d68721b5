"""How many connections one file is worth: more only while each step makes it clearly faster."""

from __future__ import annotations

GAIN = 1.25
"""What more connections must give; less is noise, or a line that is full already."""
WORTH_S = 6.0
"""A file that is this close to its end is not worth another handshake."""
STEPS = (1, 2, 4, 6, 8)
"""One more at a time could never gain a quarter beyond five."""


class LaneCount:
    """Looks at the bytes received over time, and says how many connections there should be.

    After each change it lets the new ones come up to speed for `settle_s`, then measures
    for `look_s`. A step that did not help is taken back, and that is the end of it.
    """

    def __init__(
        self, most: int, *, settle_s: float = 1.0, look_s: float = 2.0, worth_s: float = WORTH_S
    ) -> None:
        self._steps = [step for step in STEPS if step < most] + [max(1, most)]
        self._settle_s, self._look_s, self._worth_s = settle_s, look_s, worth_s
        self._step = 0
        self._settled = len(self._steps) == 1
        self._before: float | None = None
        self._since: float | None = None
        self._mark: tuple[float, int] | None = None

    @property
    def wanted(self) -> int:
        return self._steps[self._step]

    def look(self, now: float, received: int, left: int) -> int:
        """The number from here on, with `received` bytes so far and `left` still to come."""
        if self._settled:
            return self.wanted
        if self._since is None:
            self._since = now
        if self._mark is None:
            if now - self._since >= self._settle_s:
                self._mark = (now, received)
            return self.wanted
        begun, had = self._mark
        if now - begun >= self._look_s:
            self._decide(now, (received - had) / (now - begun), left)
        return self.wanted

    def _decide(self, now: float, speed: float, left: int) -> None:
        if self._before is not None and speed < GAIN * self._before:
            self._step, self._settled = self._step - 1, True
        elif self._step + 1 == len(self._steps) or left < self._worth_s * speed:
            self._settled = True
        elif speed > 0:
            self._before, self._step = speed, self._step + 1
        self._since, self._mark = now, None

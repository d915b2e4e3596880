"""How many steps each frame gets."""

from __future__ import annotations

import math

from ncavideo.rendering.keyframes import Curve
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.state import Stateful


class StepSchedule(Stateful):
    """Shares steps out between frames; asked once for every frame, in order.

    With `steps_per_second` the number does not depend on the frame rate; otherwise it is `steps` a
    frame. A fraction of a step is carried over to the next frame.
    """

    state_attributes = ("_time", "_due")

    def __init__(self, options: RenderOptions) -> None:
        rate = options.curves.get("steps_per_second")
        if rate is None and options.steps_per_second is not None:
            rate = Curve((0.0,), (options.steps_per_second,))
        self._rate, self._options = rate, options
        self._time: float | None = None
        self._due = 0.0

    def __call__(self, time: float, duration: float) -> int:
        """Return the steps of the frame at `time` that is shown for `duration` seconds."""
        if self._rate is None:
            self._due += self._options.at("steps", time) or 0
        else:
            # The first frame has none before it: it lives for as long as it is shown.
            begin = time - duration if self._time is None else self._time
            self._due += self._rate.integral(begin, max(time, begin))
        self._time = time
        # Sums of many small numbers fall short of a whole one by their rounding.
        whole = math.floor(self._due + 1e-6)
        self._due -= whole
        return whole

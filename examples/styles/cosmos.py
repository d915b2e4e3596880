"""Nebula, aurora, crystal and circuits."""

from __future__ import annotations

import numpy as np
from canvas import Material

COSMOS: dict[str, Material] = {}

"""What every logger does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunGroup:
    """The sweep `group` that a run belongs to, and the run's own `name` in it."""

    group: str
    name: str


class Logger(ABC):
    """Takes a run's numbers and pictures, each with the iteration that it belongs to."""

    @abstractmethod
    def numbers(self, iteration: int, values: dict[str, float]) -> None:
        """Take numbers by name, such as `loss/style`."""

    @abstractmethod
    def picture(self, iteration: int, path: Path) -> None:
        """Take a sample sheet, a PNG file."""

    @abstractmethod
    def video(self, iteration: int, path: Path) -> None:
        """Take a sample animation, an MP4 file."""

    @abstractmethod
    def close(self) -> None:
        """Finish; nothing comes after."""

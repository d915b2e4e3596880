"""Turn video into living texture with multi-rule neural cellular automata."""

from ncavideo.version import __version__

__all__ = ["__version__"]

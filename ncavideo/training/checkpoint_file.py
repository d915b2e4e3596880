"""A run's checkpoint as a file."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch

from ncavideo.training.trainer import Trainer
from ncavideo.util.atomic_write import replacing
from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.read_file import check_file


def restore(trainer: Trainer, path: Path) -> None:
    """Go on from a checkpoint. Raises `UserError` if it is damaged or another recipe's."""
    check_file(path, "checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        trainer.load_state_dict(state)
    except UserError:
        raise
    except (
        OSError,
        EOFError,
        RuntimeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        UnpicklingError,
    ) as error:
        raise UserError(
            f"the checkpoint {path} is damaged or not one of ours: delete it, or start over with"
            " --fresh"
        ) from error


def save(trainer: Trainer, path: Path) -> None:
    """Write beside the last checkpoint, then replace it: a full disk costs no saved work."""
    try:
        with replacing(path) as partial:
            torch.save(trainer.state_dict(), partial)
    except (OSError, RuntimeError) as error:
        # torch's own writer reports a full disk as a RuntimeError, with its source line.
        reason = error.strerror if isinstance(error, OSError) else "the disk may be full"
        raise OutputError(f"cannot save the checkpoint {path}: {reason}") from error

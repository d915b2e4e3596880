"""Rule sets: one trained NCA with its named rules, in one `.safetensors` file.

The file holds three arrays (`w1`, `b1`, `w2`), those of a learned decoder where there is one, and,
in the safetensors metadata under the key `ncavideo`, one JSON document: format and version, config,
rules, provenance. Loading never runs code, and no size in the file is believed unchecked.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncavideo.nca.catalog import MAX_FILE_BYTES, SUFFIX, preset_of, presets
from ncavideo.nca.decoder_weights import DecoderWeights, OtherVersionError
from ncavideo.nca.network import LIGHT
from ncavideo.util.atomic_write import replacing
from ncavideo.util.errors import UserError
from ncavideo.util.nearest import did_you_mean
from ncavideo.util.read_file import check_file

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

FORMAT = "ncavideo-ruleset"
VERSION = 2
WITHOUT_DECODER = 1  # the version of a file that has none: programs before the decoder read it

# These bounds stop a hostile file, not an ambitious one.
MAX_SIDE = 32_768  # cells, or pixels
MOST_CELL = 256  # pixels
MAX_CHANNELS, MAX_INPUTS, MAX_HIDDEN = 256, 256, 4096
SWATCH, SWATCH_STEPS = 96, 300  # what a notebook shows: cells a side, and how long they grow
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Rule:
    """One named behaviour: the prompt that describes it and where its style came from."""

    name: str
    prompt: str = ""
    style: str = ""
    credit: str = ""


@dataclass(frozen=True, eq=False)
class RuleSet:
    """One trained NCA.

    `inputs`: the input channels' names, the rules first, then others such as `light`. `w1`
    `[hidden, 4C + I]`, `b1` `[hidden]`, `w2` `[C, hidden]`, float32. `provenance`: recipe,
    seed, iterations, losses, versions, date. `decoder`: what draws the texture from the state, None
    where its first three channels are the colour.
    """

    name: str
    rules: tuple[Rule, ...]
    inputs: tuple[str, ...]
    fire_rate: float
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)
    decoder: DecoderWeights | None = None

    def __post_init__(self) -> None:
        """Check that names and shapes fit together. Raises `ValueError` with one sentence."""
        names = self.rule_names
        if not names or self.inputs[: len(names)] != names:
            raise ValueError("its input channels do not start with its rules")
        if LIGHT in names:
            raise ValueError(f"a rule is called {LIGHT!r}, as the channel of light is")
        if len(self.inputs) > MAX_INPUTS:
            raise ValueError(f"it has {len(self.inputs)} input channels")
        if len(set(self.inputs)) != len(self.inputs):
            raise ValueError("an input channel is named twice")
        for name in (self.name, *self.inputs):
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name (lower-case letters, digits, - and _)")
        if not 0 < self.fire_rate <= 1:
            raise ValueError(f"its fire rate {self.fire_rate} is not between 0 and 1")
        if self.w2.ndim != 2 or self.w1.ndim != 2 or self.b1.ndim != 1:
            raise ValueError("its weights have the wrong number of dimensions")
        channels, hidden = self.w2.shape
        if not 3 <= channels <= MAX_CHANNELS or not 1 <= hidden <= MAX_HIDDEN:
            raise ValueError(f"it has {channels} channels and {hidden} hidden units")
        if self.w1.shape != (hidden, 4 * channels + len(self.inputs)) or len(self.b1) != hidden:
            raise ValueError("its weights' shapes do not fit each other and its input channels")
        for array in (self.w1, self.b1, self.w2):
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError("its weights are not all finite float32 numbers")
        if self.decoder is not None and self.decoder.channels != channels:
            raise ValueError("its decoder reads another number of channels")

    @property
    def rule_names(self) -> tuple[str, ...]:
        """The rules' names, in channel order."""
        return tuple(rule.name for rule in self.rules)

    @property
    def channels(self) -> int:
        """The number of state channels C."""
        return int(self.w2.shape[0])

    @property
    def hidden(self) -> int:
        """The width of the update network."""
        return int(self.w2.shape[1])

    @property
    def has_light(self) -> bool:
        """Whether the rule set has an input channel for light."""
        return LIGHT in self.inputs

    @property
    def pixels(self) -> int:
        """The number of a style picture's pixels that a cell is across: 1 without a decoder."""
        return 1 if self.decoder is None else self.decoder.pixels

    @classmethod
    def open(cls, source: str | os.PathLike[str]) -> RuleSet:
        """Load a rule set by preset name, file, or address on the hub (`hf://user/repo`).

        Raises `UserError` when there is none.
        """
        return open_ruleset(os.fspath(source))

    def grow(
        self,
        height: int,
        width: int,
        rules: Mapping[str, float],
        *,
        steps: int = 600,
        light: float | np.ndarray = 0.6,
        seed: int = 0,
        edge: Edge = "wrap",
        device: str = "auto",
        engine: str = "auto",
        cell: int | None = None,
    ) -> np.ndarray:
        """Grow a texture from the seed; return `[height, width, 3]` float32, 0..1, gamma-encoded.

        `rules`: each rule's weight, 0 or more, at most 1 in all; `light`: 0 (dark) to 1 (bright),
        one number or `[height, width]`. A rule set with a decoder draws `cell` pixels for each cell
        along each side, by default `pixels`. Raises `UserError` for what cannot be.
        """
        from ncavideo.nca.check_growth import check_growth
        from ncavideo.nca.grow import grow

        unknown = [name for name in rules if name not in self.rule_names]
        if unknown:
            raise UserError(
                f"{self.name} has no rule {unknown[0]!r}"
                f"{did_you_mean(unknown[0], self.rule_names)}; it has {', '.join(self.rule_names)}"
            )
        if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
            raise UserError(f"a grid has 1 to {MAX_SIDE} cells a side, not {height}x{width}")
        field = np.asarray(light, np.float32)
        if field.ndim and field.shape != (height, width):
            raise UserError(f"light must be a number or [{height}, {width}], not {field.shape}")
        if not 0 <= float(field.min()) <= float(field.max()) <= 1:
            raise UserError("light must lie between 0 and 1")
        check_growth(rules, steps=steps, seed=seed)
        cell = self.pixels if cell is None else cell
        if cell != 1 and self.decoder is None:
            raise UserError(f"{self.name} has no decoder: it draws one pixel a cell, not {cell}")
        if not (1 <= cell <= MOST_CELL and cell * max(height, width) <= MAX_SIDE):
            raise UserError(f"a cell has 1 to {MOST_CELL} pixels, and a side {MAX_SIDE}")
        return grow(
            self, rules, np.broadcast_to(field, (height, width)).copy(),
            steps=steps, seed=seed, edge=edge, device=device, engine=engine, cell=cell,
        )  # fmt: skip

    def _repr_html_(self) -> str:
        from ncavideo.util.notebook import pictures_html

        facts = f"{self.channels} channels, {self.hidden} hidden units"
        return pictures_html(
            self.name, facts, {rule: _swatch(self, rule) for rule in self.rule_names}
        )

    def save(self, path: Path, overwrite: bool = True) -> None:
        """Write the rule set; the file appears under its name only when it is complete.

        Without `overwrite` nothing that is there is replaced: see `atomic_write.publish`.
        """
        from safetensors.numpy import save

        document: dict[str, Any] = {
            "format": FORMAT,
            "version": WITHOUT_DECODER,
            "config": {
                "name": self.name,
                "channels": self.channels,
                "hidden": self.hidden,
                "inputs": list(self.inputs),
                "fire_rate": self.fire_rate,
            },
            "rules": [vars(rule) for rule in self.rules],
            "provenance": self.provenance,
        }
        arrays = {"w1": self.w1, "b1": self.b1, "w2": self.w2}
        if self.decoder is not None:
            document |= {"version": VERSION, "decoder": self.decoder.config}
            arrays |= self.decoder.arrays
        text = json.dumps(document, ensure_ascii=False, sort_keys=True)
        data = save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, {"ncavideo": text})
        with replacing(path, overwrite) as partial:
            partial.write_bytes(data)

    @classmethod
    def load(cls, path: Path) -> RuleSet:
        """Read a rule set. Raises `UserError` with one sentence when the file is no good."""
        data = _read(path)
        document = _document(path, data)
        if document.get("format") != FORMAT:
            raise UserError(f"{path} is not an ncavideo rule set")
        version = document.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise UserError(f"{path} is not a sound rule set: it has no format version")
        if version > VERSION:
            raise UserError(
                f"{path} is a rule set of format version {version} and this ncavideo reads up to"
                f" {VERSION}: install a newer ncavideo"
            )
        try:
            from safetensors import SafetensorError
            from safetensors.numpy import load

            _only_float32(data)
            arrays = load(data)
            config = document["config"]
            decoder = None
            if document.get("decoder") is not None:
                decoder = DecoderWeights.read(document["decoder"], arrays)
            rules = tuple(
                Rule(*(_text(rule.get(key, "")) for key in ("name", "prompt", "style", "credit")))
                for rule in document["rules"]
            )
            ruleset = cls(
                _text(config["name"]),
                rules,
                tuple(_text(name) for name in config["inputs"]),
                _fraction(config["fire_rate"]),
                arrays["w1"],
                arrays["b1"],
                arrays["w2"],
                _provenance(document.get("provenance", {})),
                decoder,
            )
            stated = (config["channels"], config["hidden"])
            if stated != (ruleset.channels, ruleset.hidden):
                raise ValueError(f"its config says {stated} channels and hidden units")
        except OtherVersionError as error:
            raise UserError(f"{path} cannot be drawn: {error}") from error
        except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path} is not a sound rule set: {reason}") from error
        return ruleset


@lru_cache(64)
def _swatch(ruleset: RuleSet, rule: str) -> np.ndarray:
    side = SWATCH // ruleset.pixels
    return ruleset.grow(side, side, {rule: 1.0}, steps=SWATCH_STEPS)


def _fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(f"its fire rate {str(value)[:20]} is not between 0 and 1")
    return float(value)


def _provenance(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("its provenance is not a table")
    scale = value.get("light_scale", [0.0, 1.0])
    good = isinstance(scale, list) and len(scale) == 2
    good = good and all(isinstance(v, int | float) and -1 <= v <= 2 for v in scale)
    if not good:
        raise ValueError("its light scale is not a pair of luminances")
    return dict(value)


def _only_float32(data: bytes) -> None:
    (length,) = struct.unpack("<Q", data[:8])
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__" and entry["dtype"] != "F32":
            raise ValueError(f"its array {name!r} is {entry['dtype']}, not F32")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _read(path: Path) -> bytes:
    try:
        check_file(path, "rule set", MAX_FILE_BYTES)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the rule set {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"cannot read the rule set {str(path)!r}: {error}") from error


def _document(path: Path, data: bytes) -> dict[str, Any]:
    """Return the JSON document in a safetensors file's header.

    The header is read here, before the safetensors library sees the file, so that a newer format
    is told from a broken one even if its arrays are stored in a way this version does not know.
    """
    try:
        (length,) = struct.unpack("<Q", data[:8])
        if length > len(data) - 8:
            raise ValueError("truncated")
        header = json.loads(data[8 : 8 + length])
        document = json.loads(header["__metadata__"]["ncavideo"])
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is not an ncavideo rule set, or it is cut short") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is not an ncavideo rule set")
    return document


def open_ruleset(source: str) -> RuleSet:
    """Load a rule set by preset name, file, or address on the hub (`hf://user/repo`).

    Raises `UserError` when there is none.
    """
    if source.startswith("hf://"):
        from ncavideo.nca.hub import fetch

        return RuleSet.load(fetch(source))
    known = presets()
    if source in known:
        return RuleSet.load(known[source])
    if source.endswith(SUFFIX) or _exists(source):
        return RuleSet.load(Path(source))
    if source.lower() in known:
        return RuleSet.load(known[source.lower()])
    home = preset_of(source)
    if home is not None:
        raise UserError(
            f"{source!r} is a rule and not a rule set: it is in the preset {home}, --ruleset {home}"
        )
    there = f"presets: {', '.join(known)}" if known else "no presets are installed"
    raise UserError(f"there is no rule set {source!r}{did_you_mean(source, known)}; {there}")


def _exists(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte, is no file's
        return False


def find_ruleset(rules: Sequence[str], source: str | None = None) -> RuleSet:
    """Return the one rule set that has all of `rules`: the named one, or a preset.

    Raises `UserError` that lists the rules there are and suggests the nearest.
    """
    sets = [open_ruleset(source)] if source else [RuleSet.load(p) for p in presets().values()]
    if not sets:
        raise UserError("no presets are installed: name a rule set file with --ruleset")
    for ruleset in sets:
        if set(rules) <= set(ruleset.rule_names):
            return ruleset
    every = {rule: ruleset.name for ruleset in reversed(sets) for rule in ruleset.rule_names}
    unknown = [rule for rule in rules if rule not in every]
    if unknown:
        listing = "; ".join(f"{s.name}: {', '.join(s.rule_names)}" for s in sets)
        raise UserError(
            f"there is no rule {unknown[0]!r}{did_you_mean(unknown[0], every)};"
            f" the rules are {listing}"
        )
    homes = ", ".join(f"{rule} is in {every[rule]}" for rule in rules)
    raise UserError(f"one render uses rules of one rule set, and no set has them all: {homes}")

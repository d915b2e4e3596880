"""What any field can be asked for: smoothing, blur and inversion."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import material
import numpy as np
import pytest
from field_frames import HEIGHT, NOWHERE, WIDTH, encode, make, plain
from PIL import Image

from ncavideo.control import FIELDS
from ncavideo.control.field import Context
from ncavideo.control.footage import LABELS, Footage
from ncavideo.control.modifiers import ModifiedField
from ncavideo.util.errors import UserError


def test_invert_and_weight(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 51).save(tmp_path / "m.png")

    def value(options: str) -> float:
        return float(
            ModifiedField.parse(f"mask:{tmp_path}/m.png{options}", NOWHERE).values(plain())[0, 0]
        )

    assert value("") == pytest.approx(0.2, abs=1e-3)
    assert value(",invert") == pytest.approx(0.8, abs=1e-3)
    assert value(",weight=2") == pytest.approx(0.4, abs=1e-3)
    assert value(",weight=9") == 1
    assert value(",invert,weight=0.5") == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_smoothing_takes_its_time_at_any_frame_rate(fps: int) -> None:
    field = ModifiedField.parse("colour:white/0.5,smooth=0.5", NOWHERE)
    field.values(plain(0, 0))
    before = float(field.values(plain(0, 1 / fps))[0, 0])
    for index in range(fps):
        after = float(field.values(plain(1, (2 + index) / fps))[0, 0])
    # After one second, two time constants, all but exp(-2) of the way.
    assert after == pytest.approx(1 - (1 - before) * np.exp(-2), abs=0.01)


def test_blur_spreads(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    picture[24, 32] = 255
    Image.fromarray(picture).save(tmp_path / "m.png")
    found = ModifiedField.parse(f"mask:{tmp_path}/m.png,blur=2", NOWHERE).values(plain())
    assert found.sum() == pytest.approx(1, abs=0.01)
    assert found[24, 32] == pytest.approx(1 / (2 * np.pi * 4), rel=0.05)


@pytest.mark.parametrize(
    "text", ["hue", "hue:a-b", "hue:0-400", "hue:400", "hue:120/0", "hue:120/", "hue:/40",
             "hue:nan", "hue:120,width=40", "saturation:2-3", "colour:notacolour", "colour:red/0",
             "colour:red/x", "edges:x", "edges:0", "motion:0", "motion:x", "background:x",
             "background:0", "luminance:0.5-0.2", "luminance:0-1/0", "luminance:murky", "audio:99",
             "mask:", "labels:", "luminance,smooth=x", "luminance,weight=-1", "luminance,blur=1e9"],
)  # fmt: skip
def test_arguments_that_cannot_be(text: str, chirp: Path) -> None:
    with pytest.raises(UserError) as caught:
        make(text, Context(chirp))
    assert "\n" not in str(caught.value)


def test_every_field_says_how_it_is_written() -> None:
    for name, kind in FIELDS.items():
        assert kind.usage.startswith(name)
    with pytest.raises(UserError, match="luminance") as caught:
        make("sparkle")
    assert all(name in str(caught.value) for name in FIELDS)


def test_a_clip_of_labels_is_turned_as_players_show_it(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[: HEIGHT // 2] = 255
    encode(tmp_path / "plain.mp4", [picture] * 3, 25, "-c:v", "libx264", "-pix_fmt", "yuv420p")
    material.orient(
        tmp_path / "plain.mp4", tmp_path / "turned.mp4", (material.ONE, 0, 0, -material.ONE)
    )
    for name, upper in (("plain", 1), ("turned", 0)):
        with closing(
            Footage(tmp_path / f"{name}.mp4", LABELS, "labels", loop=False, rate=25)
        ) as it:
            labels = it.at(0)
        assert (labels[: HEIGHT // 2 - 1] > 200).mean() == upper

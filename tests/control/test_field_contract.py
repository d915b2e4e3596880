"""The contract of every control: one class, run over all of `FIELDS`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncavideo.control import FIELDS, field_class, make_field
from ncavideo.control.field import Context, Field, Motion, View, make_view
from ncavideo.control.spec import parse_control

HEIGHT, WIDTH, FRAMES = 24, 32, 6

# An example of each control, or several. `{files}` is a folder with a sounding clip, a mask and a
# label map.
EXAMPLES: dict[str, str | tuple[str, ...]] = {
    "luminance": "luminance:0.2-0.6/2.2",
    "hue": ("hue:330-30", "hue:30/40"),
    "saturation": "saturation",
    "colour": "colour:orange/0.2",
    "edges": "edges:1",
    "motion": "motion:0.5",
    "background": "background:2",
    "mask": "mask:{files}/mask.png",
    "labels": "labels:{files}/labels.png:2",
    "segment": "segment:kmeans:1of2",
    "audio": "audio:bass",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    ramp = np.tile(np.linspace(0, 255, WIDTH, dtype=np.uint8), (HEIGHT, 1))
    Image.fromarray(ramp).save(folder / "mask.png")
    Image.fromarray(ramp // 64).save(folder / "labels.png")
    sources = ["testsrc2=s=32x24:r=12:d=1", "aevalsrc=0.5*t*sin(500*t):d=1"]
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    clip = str(folder / "clip.mov")
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c:a", "pcm_s16le", clip], check=True)
    return folder


def examples(name: str) -> tuple[str, ...]:
    """Return a control's examples; without any, its name alone, which `text` then refuses."""
    found = EXAMPLES.get(name, name)
    return (found,) if isinstance(found, str) else found


@pytest.fixture(params=[text for name in FIELDS for text in examples(name)])
def text(request: pytest.FixtureRequest, files: Path) -> str:
    template: str = request.param
    assert template.partition(":")[0] in EXAMPLES, "add an example of the new control to EXAMPLES"
    return template.format(files=files)


def make(text: str, files: Path) -> Field:
    return make_field(parse_control(text), Context(files / "clip.mov"))


def views() -> list[View]:
    """Frames with an orange square that moves over a noisy, blue-grey ramp."""
    rng = np.random.default_rng(7)
    found = []
    for index in range(FRAMES):
        picture = rng.integers(0, 20, (HEIGHT, WIDTH, 3), np.uint8)
        picture[..., 2] += np.linspace(30, 200, WIDTH, dtype=np.uint8)
        picture[6:16, 3 + 3 * index : 11 + 3 * index] = 255, 140, 0
        back = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        back[6:16, 3 + 3 * index : 11 + 3 * index, 0] = -3
        motion = Motion(back, np.zeros((HEIGHT, WIDTH), bool), False, 1 / 12) if index else None
        time = index / 12
        found.append(make_view(picture, HEIGHT, WIDTH, time, None, lambda *_, m=motion: m))
    return found


class TestFieldContract:
    def test_values_are_float32_from_0_to_1_on_the_grid(self, text: str, files: Path) -> None:
        field = make(text, files)
        found = [field.values(view) for view in views()]
        for values in found:
            assert values.shape == (HEIGHT, WIDTH) and values.dtype == np.float32
            assert 0 <= values.min() <= values.max() <= 1
        assert np.ptp(np.stack(found)) > 0.05, "the example drives nothing"

    def test_the_same_frames_give_the_same_values(self, text: str, files: Path) -> None:
        one, other = make(text, files), make(text, files)
        for first, second in zip(views(), views(), strict=True):
            np.testing.assert_array_equal(one.values(first), other.values(second))

    def test_frames_are_not_changed(self, text: str, files: Path) -> None:
        field = make(text, files)
        for view, untouched in zip(views(), views(), strict=True):
            field.values(view)
            np.testing.assert_array_equal(view.source, untouched.source)
            np.testing.assert_array_equal(view.luma, untouched.luma)

    def test_a_restored_field_continues_bit_for_bit(self, text: str, files: Path) -> None:
        through = make(text, files)
        frames = views()
        for view in frames[:3]:
            through.values(view)
        if through.needs_replay:
            return  # a render replays all earlier frames, which the test above covers
        state = through.state_dict()
        rest = [through.values(view).copy() for view in frames[3:]]
        resumed = make(text, files)
        resumed.load_state_dict(state)
        for view, wanted in zip(frames[3:], rest, strict=True):
            np.testing.assert_array_equal(resumed.values(view), wanted)

    def test_paths_and_nothing_else_are_mapped(self, text: str, files: Path) -> None:
        spec = parse_control(text)
        paths: list[str] = []

        def collect(path: str) -> str:
            paths.append(path)
            return path

        kind = field_class(spec.name)
        assert kind.map_paths(spec.argument, collect) == spec.argument
        assert all(Path(path).is_file() for path in paths)
        assert bool(paths) == (str(files) in text)

    def test_notes_are_sentences_and_it_closes(self, text: str, files: Path) -> None:
        field = make(text, files)
        for view in views():
            field.values(view)
        assert all(isinstance(note, str) and "\n" not in note for note in field.notes())
        field.close()

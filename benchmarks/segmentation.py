"""Quality of segment:person: hand-drawn masks, stability, small people, time.

    python benchmarks/segmentation.py [--part masks|small|empty|cost] [--record]

masks: `carphone_pristine.mp4`, 2x2 pixels a cell. IoU with the masks of twelve frames that were
drawn by hand (tests/control/carphone_masks.json); moved: of 10,000 cells where the picture stands
still, how many enter or leave the mask from one frame to the next.
small: the man of that clip, pasted into frames of `bikes.mp4` without people. Found: IoU above 0.5.
empty: what is taken for people in frames of `bikes.mp4` where nobody is.
cost: the clip enlarged to 880x720, rendered with and without segmentation in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
import results
from clips import bikes, carphone, frames

from ncavideo.control import make_field
from ncavideo.control.field import Context, View, make_view
from ncavideo.control.optical_flow import OpticalFlow
from ncavideo.control.segmenters.person import Person
from ncavideo.control.spec import parse_control
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import render

DRAWN = Path(__file__).parents[1] / "tests" / "control" / "carphone_masks.json"
HEIGHT, WIDTH = 72, 88
STILL = 0.15  # cells a frame
# Of bikes.mp4: a car's roof, a row of cars, a crossing, a bicycle at a wall; nobody is to be seen.
EMPTY = [*range(0, 26, 5), *range(50, 76, 5), *range(140, 186, 5), *range(215, 241, 5)]
GROUNDS = (0, 20, 60, 160, 240)


def overlap(found: np.ndarray, there: np.ndarray) -> float:
    """Return intersection over union."""
    return float(((found > 0.5) & there).sum() / max(((found > 0.5) | there).sum(), 1))


def drawn() -> dict[int, np.ndarray]:
    """Return the hand-drawn masks `[h, w]` by their frames."""
    masks = {}
    for number, outline in json.loads(DRAWN.read_text("utf-8")).items():
        canvas = np.zeros((HEIGHT * 16, WIDTH * 16), np.uint8)
        cv2.fillPoly(canvas, [np.round(np.array(outline) * 8).astype(np.int32)], 255)
        small = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        masks[int(number)] = small > 127
    return masks


def views() -> list[View]:
    """Return the clip on its grid."""
    follow = OpticalFlow()
    return [make_view(rgb, HEIGHT, WIDTH, t, follow=follow) for rgb, t in frames(carphone())]


def moved(masks: list[np.ndarray], seen: list[View]) -> float:
    """Return the share of still cells that change sides from frame to frame."""
    changed = still = 0
    for before, after, view in zip(masks, masks[1:], seen[1:], strict=False):
        assert view.motion is not None
        held = (np.square(view.motion.backward_flow).sum(-1) < STILL**2) & ~view.motion.occluded
        changed += int((((before > 0.5) != (after > 0.5)) & held).sum())
        still += int(held.sum())
    return changed / still


def compare_masks() -> results.Table:
    """Return IoU and movement of masks, with and without the flow."""
    seen, reference = views(), drawn()
    raw = Person()
    ways = {"each frame by itself": [raw(view)[0] for view in seen]}
    for every in (1, 3, 6):
        field = make_field(parse_control(f"segment:person,every={every}"), Context(Path()))
        ways[f"every={every}"] = [field.values(view).copy() for view in seen]
    columns = {"masks": "", "IoU, mean": ".3f", "IoU, least": ".3f", "moved": ".0f"}
    table = results.Table("masks", columns)
    for name, masks in ways.items():
        found = [overlap(masks[number], there) for number, there in reference.items()]
        table.add(name, np.mean(found), min(found), moved(masks, seen) * 1e4)
    return table


def find_small() -> results.Table:
    """Return how many people of a size are found."""
    man, time = next(frames(carphone()))
    share = cv2.resize(Person()(make_view(man, 144, 176, time))[0], (176, 144))
    rows = np.flatnonzero((share > 0.5).any(1))
    street = [rgb for rgb, _ in frames(bikes())]
    columns = {"height of the frame": "g", "found": "", "IoU where found, median": ".2f"}
    table = results.Table("small", columns)
    for size in (0.5, 0.3, 0.2, 0.15, 0.1, 0.07):
        overlaps = []
        for number in GROUNDS:
            for x, y in ((0.3, 0.5), (0.7, 0.3)):
                picture = street[number].astype(np.float32)
                high, wide = picture.shape[:2]
                scale = size * high / (rows[-1] - rows[0])
                small = cv2.resize(man, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                alpha = cv2.resize(share, small.shape[1::-1], interpolation=cv2.INTER_AREA)
                top = min(int(y * high), high - small.shape[0])
                left = int(x * wide)
                area = np.s_[top : top + small.shape[0], left : left + small.shape[1]]
                picture[area] += alpha[..., None] * (small - picture[area])
                there = np.zeros((high, wide), np.float32)
                there[area] = alpha
                grid = (high // 4, wide // 4)
                there = cv2.resize(there, grid[::-1], interpolation=cv2.INTER_AREA)
                found = Person()(make_view(picture.astype(np.uint8), *grid, 0.0))[0]
                overlaps.append(overlap(found, there > 0.5))
        hits = [value for value in overlaps if value > 0.5]
        median = statistics.median(hits) if hits else None
        table.add(size, f"{len(hits)} of {len(overlaps)}", median)
    return table


def find_nobody() -> results.Table:
    """Return how much of frames without people is taken for people."""
    street = [rgb for rgb, _ in frames(bikes())]
    high, wide = street[0].shape[:2]
    taken = [
        float((Person()(make_view(street[n], high // 4, wide // 4, 0.0))[0] > 0.5).mean())
        for n in EMPTY
    ]
    columns = {"frames": "", "without an error": "", "share, mean": ".4f", "share, most": ".4f"}
    table = results.Table("empty", columns)
    table.add(len(taken), taken.count(0.0), np.mean(taken), max(taken))
    return table


def time_renders(repeats: int, seconds: float) -> results.Table:
    """Return how long renders take with segmentation and without, in turns."""
    ways = {"luminance": (), "segment:person": ("fire=segment:person",)}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "720.mp4")
        with av.open(str(clip), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 880, 720, "yuv420p"
            for rgb, _ in frames(carphone()):
                large = cv2.resize(rgb, (880, 720), interpolation=cv2.INTER_CUBIC)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
            container.mux(stream.encode())
        for number in range(repeats + 1):
            for name, control in ways.items():
                options = RenderOptions(("fire",), control=control, duration=seconds)
                report = render(clip, Path(folder, f"{len(control)}-{number}.mp4"), options)
                if number:  # the first one compiles
                    spent[name].append(report.seconds)
    plain = statistics.median(spent["luminance"])
    columns = {"control": "", "seconds, median": ".1f", "least": ".1f", "most": ".1f"}
    table = results.Table("cost", {**columns, "beside luminance": ".2f"})
    for name, times in spent.items():
        median = statistics.median(times)
        table.add(name, median, min(times), max(times), median / plain)
    return table


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=["masks", "small", "empty", "cost"])
    parser.add_argument("--repeats", type=int, default=5, help="renders of each kind, for cost")
    parser.add_argument("--seconds", type=float, default=3.0, help="of the clip, for cost")
    results.add_record(parser)
    asked = parser.parse_args()
    tables = []
    if asked.part in (None, "masks"):
        tables.append(compare_masks())
    if asked.part in (None, "small"):
        tables.append(find_small())
    if asked.part in (None, "empty"):
        tables.append(find_nobody())
    if asked.part in (None, "cost"):
        tables.append(time_renders(asked.repeats, asked.seconds))
    results.record(asked, "segmentation", *tables)


if __name__ == "__main__":
    main()

"""The clip's own sound as a field: how loud a band of it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np

from ncavideo.control.field import Context, Field, View
from ncavideo.control.spec import parse_range
from ncavideo.util.errors import UserError
from ncavideo.video.reader import open_clip

BANDS = {"bass": (20.0, 250.0), "mid": (250.0, 4000.0), "treble": (4000.0, 10000.0)}
EVERYTHING = (20.0, 10000.0)  # Hz
SAMPLE_RATE = 22050
WINDOW = 1024  # samples, 46 ms: two periods of the lowest bass
HOP = 220  # samples, 10 ms
ATTACK, RELEASE = 0.015, 0.18  # seconds: a drum is there at once and rings out
QUIET, LOUD = 0.10, 0.98  # shares of the clip's own levels that become 0 and 1
LEAST_SPAN = 12.0  # dB: a steady hum is not stretched into a dance
SILENCE = -90.0  # dB
QUIETEST_PEAK = -70.0  # dB: a band that stays below is silent


class Loudness(Field):
    """`audio`, `audio:bass|mid|treble` or `audio:LOW-HIGH` in Hz: one number everywhere.

    The level of the band in decibels, stretched over the clip's own range, with a fast attack and
    a slower release.
    """

    def __init__(self, begin: float, envelope: np.ndarray) -> None:
        self._begin, self._envelope = begin, envelope

    @classmethod
    def parse(cls, argument: str, context: Context) -> Loudness:
        """Read the clip's sound."""
        if not argument:
            low, high = EVERYTHING
        elif argument in BANDS:
            low, high = BANDS[argument]
        else:
            low, high = parse_range(argument, 0, SAMPLE_RATE / 2, "audio")
            if high - low < SAMPLE_RATE / WINDOW:
                raise UserError(
                    f"audio:{argument} is too narrow: give a band of {SAMPLE_RATE / WINDOW:.0f} Hz"
                    " or more"
                )
        begin, levels = _levels(context.clip, low, high)
        return cls(begin, _envelope(levels))

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        place = (view.time - self._begin) * SAMPLE_RATE / HOP
        value = np.interp(place, np.arange(len(self._envelope)), self._envelope, left=0, right=0)
        return np.full_like(view.luma, value)


def _levels(clip: Path, low: float, high: float) -> tuple[float, np.ndarray]:
    """Return when the sound begins, in the clip's seconds, and the band's levels in dB."""
    with contextlib.closing(open_clip(clip)) as container:
        if not container.streams.audio:
            raise UserError(f"{clip} has no sound for the audio control: use another control")
        stream = container.streams.audio[0]
        origin = (container.start_time or 0) / av.time_base
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        begin: float | None = None
        levels: list[np.ndarray] = []
        # Half a window of nothing in front: the first level is that of the first sample.
        waiting = np.zeros(WINDOW // 2, np.float32)
        window = np.hanning(WINDOW).astype(np.float32)
        frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
        inside = (frequency >= low) & (frequency <= high)
        try:
            for frame in _frames(container, stream):
                if begin is None:
                    begin = (frame.time or 0.0) - origin
                for part in resampler.resample(frame):
                    waiting = np.concatenate([waiting, part.to_ndarray().ravel()])
                count = (len(waiting) - WINDOW) // HOP + 1
                if count > 0:
                    levels.append(_band(waiting, count, window, inside))
                    waiting = waiting[count * HOP :]
        except (av.error.FFmpegError, OSError):
            pass  # what there is of a damaged sound will do
    if begin is None or not levels:
        raise UserError(f"the sound of {clip} cannot be decoded: use another control than audio")
    return begin, np.concatenate(levels)


def _frames(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.AudioFrame]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _band(samples: np.ndarray, count: int, window: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the band's level in dB in each of `count` windows (Parseval's theorem)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[: count * HOP : HOP]
    power = np.square(np.abs(np.fft.rfft(frames * window)[:, inside])).sum(1)
    mean = 2 * power / (WINDOW * np.square(window).sum())
    return np.asarray(10 * np.log10(np.maximum(mean, 10 ** (SILENCE / 10))), np.float32)


def _envelope(levels: np.ndarray) -> np.ndarray:
    """Return levels in dB as 0..1 over their own range, rising fast and falling slowly."""
    low, high = np.quantile(levels, [QUIET, LOUD])
    if high < QUIETEST_PEAK:
        return np.zeros_like(levels)
    low = max(low, high - 60, SILENCE)
    low = min(low, high - LEAST_SPAN)
    wanted = np.clip((levels - low) / (high - low), 0, 1)
    rise, fall = (-np.expm1(-HOP / SAMPLE_RATE / time) for time in (ATTACK, RELEASE))
    followed, now = np.empty_like(wanted), 0.0
    for index, value in enumerate(wanted.tolist()):
        now += (rise if value > now else fall) * (value - now)
        followed[index] = now
    return np.asarray(followed, np.float32)

"""One clock for a clip: its own timeline, which begins at 0 and has no jumps that no player shows.

A file's timestamps begin anywhere (a recording of a broadcast at hours, a wrapped counter below 0),
begin anew where recordings were joined end to end, jump, or are missing. Here each packet is given
what has to be added to its times. The picture's packets decide: sound and subtitles follow the
picture next to which they lie in the file, so that their distance to it stays what it is.

All times are exact fractions of a second.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from fractions import Fraction

# A pause that players show is no longer than this where clocks are known to jump. FFmpeg has the
# same limit (`-dts_delta_threshold`).
JUMP = Fraction(10)
# Where clocks are not known to jump, times that go back by less are disorder, not a new beginning.
DISORDER = Fraction(1)
# How far packets of one clock may lie from where the ones before them end.
NEAR = Fraction(1, 2)
# How far sound and picture that belong together may lie apart in a file.
APART = Fraction(5)
# Sound up to this much before the picture prepares its decoder: it lies before 0, as MP4 has it.
PREPARATION = Fraction(1, 10)
KEPT = 8  # earlier offsets that a packet may come back to


def beginning(picture: Fraction, sounds: Sequence[Fraction]) -> Fraction:
    """Return the file's time that is 0 on the clip's timeline.

    `picture`: when the first frame is shown; `sounds`: when each sound stream begins. A file whose
    own 0 lies at its beginning keeps it.
    """
    first = min(picture, *sounds) if sounds else picture
    if -PREPARATION <= first <= 0 <= picture:
        return Fraction(0)
    return picture if picture - first <= PREPARATION else first


class PictureClock:
    """Puts the packets of a video stream on one line, in the order in which they are decoded.

    `step`: how long a frame usually is; `jumps`: whether the kind of file is one whose clocks begin
    anew or jump (`AVFMT_TS_DISCONT`). `offsets`: what has been added so far, one entry for each
    clock; `begins`: when each of them begins on the line; `latest`: where the line has got to;
    `end`: when all frames so far have been shown.
    """

    def __init__(self, step: Fraction, *, jumps: bool) -> None:
        self._step, self.jumps = step, jumps
        self.offsets, self.begins = [Fraction(0)], [Fraction(0)]
        self.latest: Fraction | None = None
        self._now = 0
        self._usual = Fraction(0)  # when the next packet is decoded, if nothing jumps
        self.end = Fraction(0)
        self._before = Fraction(0)  # `latest` before the last packet
        self._opened = False  # whether the last packet began a clock
        self._heard: Fraction | None = None

    def place(
        self, decoded: Fraction | None, shown: Fraction | None, length: Fraction | None = None
    ) -> Fraction:
        """Return what is to be added to a packet's times.

        `decoded`, `shown`: its timestamps (dts and pts), where it has them; `length`: for how long
        it says it is shown.
        """
        time = decoded if decoded is not None else shown
        length = length or self._step
        if time is None or (decoded is None and self.latest is not None):
            if time is None and self.latest is not None:
                self.end += length
            return self.offsets[self._now]
        first = time if shown is None else shown
        if self.latest is None:
            self.begins[0] = self.end = first
            self.latest = self._before = time
        elif self._opened or not self._continues(time, self.offsets[self._now]):
            known = len(self.offsets)
            self._now = self._clock_of(time, first)
            self._opened = len(self.offsets) > known
        offset = self.offsets[self._now]
        if time + offset > self.latest:
            self._before, self.latest = self.latest, time + offset
        self._usual = self.latest + length
        self.end = max(self.end, first + offset + length)
        return offset

    def hear(self, time: Fraction) -> None:
        """Tell of a sound packet: while sound goes on, a picture that stands still is a pause."""
        here = time + self.offsets[self._now]
        if self._heard is None or self._heard < here <= self._heard + JUMP:
            self._heard = here

    def _continues(self, time: Fraction, offset: Fraction) -> bool:
        assert self.latest is not None
        return self.latest < time + offset <= self._usual + NEAR

    def _clock_of(self, time: Fraction, first: Fraction) -> int:
        """Return the number of the clock of a packet that does not continue the present one."""
        assert self.latest is not None
        # A single timestamp that is wrong is followed by one of the clock before it.
        known = range(max(0, len(self.offsets) - KEPT), len(self.offsets))
        fitting = [
            (abs(time + self.offsets[number] - self._usual), number)
            for number in known
            if self._continues(time, self.offsets[number])
        ]
        if fitting:
            return min(fitting)[1]
        here = time + self.offsets[self._now]
        if self.jumps:
            # One step back is disorder: the last packet may have been too late.
            anew = here <= self._before or self._jumped(here)
        else:
            # Decoding times alone may be made up.
            here = max(here, first + self.offsets[self._now])
            anew = here <= min(self._before, self.latest - DISORDER)
        if not anew:
            return self._now
        # The picture goes on where the last frame ends. A clock begins with a key frame, which is
        # shown before those that follow it.
        self.offsets.append(self.end - first)
        self.begins.append(self.end)
        self.latest = self._before = time + self.offsets[-1]
        self._heard = None
        return len(self.offsets) - 1

    def _jumped(self, here: Fraction) -> bool:
        if here <= self._usual + JUMP:
            return False
        return self._heard is None or self._heard < here - APART


class Place(enum.Enum):
    """What is to be done with a packet that has no place yet, or none at all."""

    WAIT = enum.auto()  # until more of the picture has been seen
    DROP = enum.auto()  # the packets before it last until after its end


class SoundClock:
    """Puts the packets of a sound stream on the picture's line.

    `picture`: the clock of the video packets that are read from the file beside them. Where two
    clocks meet, packets that overlap are dropped and the rest moves by at most half a packet, so
    that the sound goes on without a seam.
    """

    def __init__(self, picture: PictureClock) -> None:
        self._picture = picture
        self._clock = 0
        self._offset: Fraction | None = None
        self._last: Fraction | None = None
        self._end = Fraction(0)

    def place(self, time: Fraction, length: Fraction, *, wait: bool = True) -> Fraction | Place:
        """Return what is to be added to a packet's times, or what else is to be done with it.

        `wait`: whether the packet can be asked for again when more has been read.
        """
        if self._offset is None:
            self._clock = self._nearest(time)
            self._offset = self._picture.offsets[self._clock]
        elif not self._continues(time + self._offset):
            found = self._move(time, length)
            if isinstance(found, Place):
                if found is Place.DROP or wait:
                    return found
                # The picture does not jump: this stream does, or it pauses.
                here = time + self._offset
                back = self._last is not None and here <= self._last - DISORDER
                found = self._end - time if back else self._offset
            self._offset = found
        here = time + self._offset
        if self._last is None:
            self._last, self._end = here, here + length
        self._last, self._end = max(here, self._last), max(here + length, self._end)
        return self._offset

    def _continues(self, here: Fraction) -> bool:
        if self._last is not None and here <= self._last - (0 if self._picture.jumps else DISORDER):
            return False
        if here <= self._end + NEAR:
            return True
        latest = self._picture.latest
        return latest is None or abs(here - latest) <= APART

    def _move(self, time: Fraction, length: Fraction) -> Fraction | Place:
        """Go over to a newer clock of the picture, if the packet lies near where it begins."""
        for number in range(self._clock + 1, len(self._picture.offsets)):
            offset = self._picture.offsets[number]
            here, latest = time + offset, self._picture.latest
            assert latest is not None
            if not self._picture.begins[number] - APART <= here <= latest + APART:
                continue
            overlap = self._end - here
            if overlap > length / 2:
                return Place.DROP
            self._clock = number
            return offset + overlap if overlap >= -length / 2 else offset
        return Place.WAIT

    def _nearest(self, time: Fraction) -> int:
        latest = self._picture.latest
        if latest is None:
            return 0
        offsets = self._picture.offsets
        return min(range(len(offsets)), key=lambda number: abs(time + offsets[number] - latest))


def nearest_offset(picture: PictureClock, time: Fraction) -> Fraction:
    """Return what is to be added to a subtitle's times: it goes by the picture beside it."""
    if picture.latest is None:
        return picture.offsets[0]
    latest = picture.latest
    return min(picture.offsets, key=lambda offset: abs(time + offset - latest))

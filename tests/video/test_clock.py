"""The clip's clock, on made-up packet times."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncavideo.video.clock import (
    APART,
    JUMP,
    PREPARATION,
    PictureClock,
    Place,
    SoundClock,
    beginning,
    nearest_offset,
)

FRAME = Fraction(1, 25)
PACKET = Fraction(1024, 44100)
ORDER = (0, 3, 1, 2)  # in which frames are decoded where two B-frames lie between others


@dataclass(frozen=True)
class Packet:
    """A packet as a file has it, and when it is really shown or heard."""

    decoded: Fraction
    shown: Fraction
    truth: Fraction
    clock: int
    sound: bool


def picture(count: int, begin: Fraction, truth: Fraction, clock: int, b: bool) -> list[Packet]:
    """Return `count` frames in decoding order."""
    order = list(range(count))
    if b:
        order = [0] + [
            n for group in range(1, count, 3) for n in (group + 2, group, group + 1) if n < count
        ]
    delay = 2 * FRAME if b else Fraction(0)
    return [
        Packet(begin - delay + place * FRAME, begin + n * FRAME, truth + n * FRAME, clock, False)
        for place, n in enumerate(order)
    ]


def sound(count: int, begin: Fraction, truth: Fraction, clock: int) -> list[Packet]:
    times = [n * PACKET for n in range(count)]
    return [Packet(begin + t, begin + t, truth + t, clock, True) for t in times]


def interleaved(parts: list[list[Packet]], blocks: int) -> list[Packet]:
    """Return each part's packets by their decoding times, sound in blocks as multiplexers write."""
    out = []
    for part in parts:
        keyed = []
        for place, packet in enumerate(p for p in part if p.sound):
            keyed.append((part[0].truth + (place // blocks) * blocks * PACKET, 1, place, packet))
        for place, packet in enumerate(p for p in part if not p.sound):
            keyed.append((part[0].truth + place * FRAME, 0, place, packet))
        out += [packet for *_, packet in sorted(keyed, key=lambda key: key[:3])]
    return out


def placed(packets: list[Packet], jumps: bool = True) -> list[tuple[Packet, Fraction]]:
    """Return the packets that are kept, as the stream copy does, with their times on the line."""
    clock = PictureClock(FRAME, jumps=jumps)
    ear = SoundClock(clock)
    waiting: list[Packet] = []
    out: list[tuple[Packet, Fraction]] = []

    def go_on(wait: bool) -> None:
        while waiting:
            found = ear.place(waiting[0].decoded, PACKET, wait=wait)
            if found is Place.WAIT:
                return
            packet = waiting.pop(0)
            if isinstance(found, Fraction):
                out.append((packet, packet.shown + found))

    for packet in packets:
        if packet.sound:
            clock.hear(packet.decoded)
            waiting.append(packet)
        else:
            out.append((packet, packet.shown + clock.place(packet.decoded, packet.shown, FRAME)))
        go_on(True)
    go_on(False)
    return out


clocks = st.lists(
    st.tuples(
        st.integers(30, 90),  # frames
        st.integers(-100_000, 100_000),  # where its clock begins, in frames
        st.integers(-10, 10),  # by how many frames the sound begins later than the picture
        st.integers(-10, 10),  # and ends later
    ),
    min_size=1,
    max_size=4,
)


@given(clocks=clocks, b=st.booleans(), blocks=st.sampled_from([1, 8, 16]))
def test_joined_recordings_go_on(clocks, b: bool, blocks: int) -> None:
    parts, truth = [], Fraction(0)
    for number, (frames, begin, late, longer) in enumerate(clocks):
        if number:
            # A clock that goes on shortly after where the one before ends is a pause.
            end = clocks[number - 1][1] + clocks[number - 1][0]
            begin += 2000 if -5 <= begin - end <= 270 else 0
        start = begin * FRAME
        length = frames * FRAME
        count = max(1, round((length + (longer - late) * FRAME) / PACKET))
        parts.append(
            picture(frames, start, truth, number, b)
            + sound(count, start + late * FRAME, truth + late * FRAME, number)
        )
        truth += length
    begin = clocks[0][1] * FRAME
    out = placed(interleaved(parts, blocks))
    frames = [(packet, time) for packet, time in out if not packet.sound]
    # Every frame in its place, and none lost.
    assert len(frames) == sum(count for count, *_ in clocks)
    assert all(time - begin == packet.truth for packet, time in frames)
    sounds = [(packet, time - begin) for packet, time in out if packet.sound]
    # The distance to the picture is what it was, but for half a packet where clocks meet.
    assert all(abs(time - packet.truth) <= PACKET / 2 for packet, time in sounds)
    assert all(b[1] - a[1] >= PACKET for a, b in itertools.pairwise(sounds))
    # Only sound that overlaps is dropped.
    kept = {(packet.clock, packet.truth) for packet, _ in sounds}
    for part in parts:
        for packet in (p for p in part if p.sound):
            if (packet.clock, packet.truth) not in kept:
                assert any(
                    abs(time - packet.truth) < PACKET and other.clock < packet.clock
                    for other, time in sounds
                )


@given(
    pauses=st.lists(st.integers(1, 400), min_size=2, max_size=20), jumps=st.booleans(),
)  # fmt: skip
def test_pauses_are_kept(pauses: list[int], jumps: bool) -> None:
    """A variable frame rate is no jump: nothing is moved, however long a picture stands still."""
    times = [0, *itertools.accumulate(pauses)]
    frames = [Packet(t * FRAME, t * FRAME, t * FRAME, 0, False) for t in times]
    heard = sound(int(times[-1] * FRAME / PACKET), Fraction(0), Fraction(0), 0)
    packets = sorted(frames + heard, key=lambda p: (p.truth, p.sound))
    assert all(time == packet.truth for packet, time in placed(packets, jumps))
    if not jumps:
        assert all(time == packet.truth for packet, time in placed(frames, jumps))


def test_a_clock_that_jumps_is_mended_and_a_pause_of_sound_is_not() -> None:
    later = JUMP + 30
    first = picture(50, Fraction(0), Fraction(0), 0, False)
    second = picture(50, 2 + later, Fraction(2), 1, False)
    out = placed(first + second)
    assert all(time == packet.truth for packet, time in out)
    # Where clocks do not jump, it is a pause.
    assert placed(first + second, jumps=False)[-1][1] == second[-1].shown
    # Sound that is silent for long beside a picture that goes on.
    long = picture(1000, Fraction(0), Fraction(0), 0, False)
    heard = sound(40, Fraction(0), Fraction(0), 0) + sound(40, Fraction(30), Fraction(30), 0)
    packets = sorted(long + heard, key=lambda p: (p.truth, p.sound))
    assert all(time == packet.truth for packet, time in placed(packets))


@given(place=st.integers(2, 40), off=st.integers(-90_000, 90_000), jumps=st.booleans())
def test_a_single_wrong_time_changes_nothing_after_it(place: int, off: int, jumps: bool) -> None:
    frames = picture(50, Fraction(0), Fraction(0), 0, False)
    wrong = frames[place].decoded + off * FRAME
    frames[place] = replace(frames[place], decoded=wrong, shown=wrong)
    for packet, time in placed(frames, jumps):
        if packet is not frames[place]:
            assert time == packet.truth


def test_missing_times() -> None:
    clock = PictureClock(FRAME, jumps=True)
    assert clock.place(None, None) == 0
    assert clock.place(Fraction(5), None) == 0
    assert clock.place(None, Fraction(900)) == 0  # only decoding times are in order
    assert clock.place(Fraction(0), Fraction(0)) == 5 + FRAME
    assert clock.place(None, None) == 5 + FRAME


def test_subtitles_go_by_the_picture_beside_them() -> None:
    clock = PictureClock(FRAME, jumps=True)
    assert nearest_offset(clock, Fraction(3)) == 0
    for packet in picture(50, Fraction(100), Fraction(0), 0, True):
        clock.place(packet.decoded, packet.shown, FRAME)
    for packet in picture(50, Fraction(7), Fraction(0), 0, True):
        clock.place(packet.decoded, packet.shown, FRAME)
    assert nearest_offset(clock, Fraction(8)) == 95
    assert nearest_offset(clock, Fraction(101)) == 0


@given(
    first=st.fractions(-1000, 1000),
    delays=st.lists(st.fractions(-1, 1), max_size=3),
)
def test_a_clip_begins_at_zero(first: Fraction, delays: list[Fraction]) -> None:
    sounds = [first + delay for delay in delays]
    zero = beginning(first, sounds)
    earliest = min([first, *sounds])
    if zero:
        assert first - zero >= 0
        assert zero in (first, earliest)
        assert zero - earliest <= PREPARATION
    else:
        assert -PREPARATION <= earliest <= 0 or not first or not earliest


@pytest.mark.parametrize(
    ("picture", "sounds", "zero"),
    [
        (0, [], 0), (0, ["-0.023"], 0), ("0.007", ["-0.007"], 0),  # as MP4 and Matroska have them
        ("0.5", [0], 0),  # a picture that begins after its sound
        (0, ["0.5"], 0),
        ("1.48", ["1.456"], "1.48"),  # a transport stream
        ("36001.4", ["36002"], "36001.4"),
        ("2.4", ["1.4"], "1.4"),
        ("-0.517", [], "-0.517"),  # a counter that wrapped
        ("-0.517", ["-0.54"], "-0.517"),
    ],
)  # fmt: skip
def test_where_clips_begin(picture, sounds, zero) -> None:
    assert beginning(Fraction(picture), [Fraction(s) for s in sounds]) == Fraction(zero)


def test_limits_fit_each_other() -> None:
    assert APART < JUMP

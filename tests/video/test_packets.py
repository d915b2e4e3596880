"""Packets of closed segments on disk."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.util.errors import OutputError
from ncavideo.video.packets import DIGEST, MAGIC, PacketFile, read_packets


@given(
    packets=st.lists(
        st.tuples(
            st.none() | st.integers(-(2**40), 2**40), st.none() | st.integers(-(2**40), 2**40),
            st.integers(0, 2**30), st.booleans(), st.binary(min_size=1, max_size=50),
        ),
        max_size=6,
    ),
    base=st.fractions(Fraction(1, 10**6), 10, max_denominator=10**6),
)  # fmt: skip
@settings(max_examples=60)
def test_packets_come_back(
    packets: list[tuple[int | None, int | None, int, bool, bytes]],
    base: Fraction,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("p") / "a.packets"
    with PacketFile(path) as file:
        for pts, dts, duration, key, data in packets:
            packet = av.Packet(data)
            packet.pts, packet.dts, packet.duration = pts, dts, duration
            packet.time_base, packet.is_keyframe = base, key
            file.write(packet)
        assert not path.exists()
        file.close()
    found = [(p.pts, p.dts, p.duration, p.is_keyframe, bytes(p)) for p in read_packets(path)]
    assert found == packets


def test_a_full_disk_is_told_and_left_clean(tmp_path: Path) -> None:
    (tmp_path / "a.part").symlink_to("/dev/full")
    packet = av.Packet(bytes(100_000))
    packet.pts = packet.dts = 0
    packet.time_base = Fraction(1, 25)
    with pytest.raises(OSError, match="No space left"), PacketFile(tmp_path / "a.packets") as file:
        file.write(packet)
        file.close()
    assert list(tmp_path.iterdir()) == []


@given(data=st.binary(max_size=80))
def test_noise_is_not_packets(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("p") / "a.packets"
    # With a digest that fits, so that what is inside is read.
    data = MAGIC + b"1/25\n" + data
    path.write_bytes(data + hashlib.blake2b(data, digest_size=DIGEST).digest())
    try:
        assert all(len(bytes(p)) <= len(data) for p in read_packets(path))
    except OutputError as error:
        assert "is damaged" in str(error)

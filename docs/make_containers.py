"""Make docs/containers.md: what becomes of each codec of sound and subtitles in each container.

    python docs/make_containers.py

Needs the `ffmpeg` program, which makes a clip for every codec. The writer is then opened on it for
every container, and asked what it leaves out; no frame is rendered.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path

from ncavideo.video.open_writer import open_writer
from ncavideo.video.reader import VideoReader

PAGE = Path(__file__).with_name("containers.md")
HEAD = """\
# What containers hold

<!-- Written by docs/make_containers.py: outputs of each kind are opened for clips of each. -->

Sound and subtitles are copied bit for bit where the muxer of the container takes them. The muxer is
asked before the first frame is rendered: with the header, the first packets and the trailer of
every stream. A stream that it refuses is *left out*, with a note at the start; with
`--strict-streams` the clip is refused instead, with exit code 2. Nothing is converted. A GIF and
numbered pictures hold neither sound nor subtitles.

"""
CONTAINERS = (".mp4", ".mov", ".mkv", ".webm")
PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.2"]
TONE = ["-f", "lavfi", "-i", "sine=duration=0.2"]
VIDEO = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
STEREO = ["-ac", "2"]
STUDIO = ["-ar", "48000", *STEREO, "-strict", "-2"]
# What the codec is called, FFmpeg's encoder, the clip's suffix, and the encoder's other arguments.
SOUNDS = [
    ("AAC", "aac", ".mp4", []),
    ("AC-3", "ac3", ".mkv", STUDIO),
    ("E-AC-3", "eac3", ".mkv", STUDIO),
    ("DTS", "dca", ".mkv", STUDIO),
    ("TrueHD", "truehd", ".mkv", STUDIO),
    ("MP2", "mp2", ".mkv", STUDIO),
    ("MP3", "libmp3lame", ".mkv", STUDIO),
    ("Opus", "libopus", ".mkv", STUDIO),
    ("Vorbis", "libvorbis", ".mkv", STUDIO),
    ("FLAC", "flac", ".mkv", STUDIO),
    ("ALAC", "alac", ".mov", STUDIO),
    ("WavPack", "wavpack", ".mkv", STUDIO),
    ("True Audio", "tta", ".mkv", STUDIO),
    ("WMA", "wmav2", ".asf", STUDIO),
    ("PCM, 16 bits (WAV's)", "pcm_s16le", ".avi", STEREO),
    ("PCM, 24 bits", "pcm_s24le", ".avi", STEREO),
    ("PCM, 32 bits, floating", "pcm_f32le", ".avi", STEREO),
    ("PCM, 16 bits, big-endian", "pcm_s16be", ".mov", STEREO),
    ("PCM, 8 bits", "pcm_u8", ".avi", STEREO),
    ("A-law", "pcm_alaw", ".avi", []),
    ("mu-law", "pcm_mulaw", ".avi", []),
    ("ADPCM (Microsoft)", "adpcm_ms", ".avi", []),
    ("ADPCM (IMA)", "adpcm_ima_wav", ".avi", []),
]
SUBTITLES = [
    ("SubRip (SRT)", "srt", ".mkv"),
    ("ASS, SSA", "ass", ".mkv"),
    ("WebVTT", "webvtt", ".mkv"),
    ("QuickTime text", "mov_text", ".mp4"),
    ("PGS (Blu-ray)", "copy", ".mkv"),
    ("VobSub (DVD)", "dvdsub", ".mkv"),
    ("DVB", "dvbsub", ".ts"),
]
PICTURES = ("copy", "dvdsub", "dvbsub")  # subtitles that are drawn


def ffmpeg(*arguments: object) -> None:
    """Run the ffmpeg program."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def drawn_subtitles() -> bytes:
    """Return a PGS stream: a white bar of 16 x 4 pixels, shown from 0 to 0.1 s."""

    def segment(ticks: int, kind: int, data: bytes) -> bytes:
        return b"PG" + struct.pack(">IIBH", ticks, 0, kind, len(data)) + data

    def composition(number: int, objects: bytes) -> bytes:
        state = 0x80 if objects else 0
        return struct.pack(">HHBHBBBB", 64, 48, 16, number, state, 0, 0, bool(objects)) + objects

    window = struct.pack(">BBHHHH", 1, 0, 8, 8, 16, 4)
    palette = bytes([0, 0, 1, 235, 128, 128, 255])
    lines = (b"\x01" * 16 + b"\0\0") * 4
    size = (len(lines) + 4).to_bytes(3, "big")
    bar = struct.pack(">HBB", 0, 0, 0xC0) + size + struct.pack(">HH", 16, 4) + lines
    place = struct.pack(">HBBHH", 0, 0, 0, 8, 8)
    shown = [(0x16, composition(0, place)), (0x17, window), (0x14, palette), (0x15, bar)]
    gone = [(0x16, composition(1, b"")), (0x17, window)]
    return b"".join(
        segment(ticks, kind, data)
        for ticks, segments in ((0, shown), (9000, gone))
        for kind, data in [*segments, (0x80, b"")]
    )


def make_clips(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """Write a clip for each codec; return them under the headings of the page."""
    text, drawn = folder / "words.srt", folder / "words.sup"
    text.write_text("1\n00:00:00,000 --> 00:00:00,100\nhello\n")
    drawn.write_bytes(drawn_subtitles())
    sounds, subtitles = [], []
    for name, codec, suffix, more in SOUNDS:
        clip = folder / f"{codec}{suffix}"
        ffmpeg(*PICTURE, *TONE, *VIDEO, "-c:a", codec, *more, clip)
        sounds.append((name, clip))
    for name, codec, suffix in SUBTITLES:
        clip = folder / f"sub-{codec}{suffix}"
        words = drawn if codec in PICTURES else text
        ffmpeg(*PICTURE, "-i", words, "-map", 0, "-map", 1, *VIDEO, "-c:s", codec, clip)
        subtitles.append((name, clip))
    return {"Sound": sounds, "Subtitles": subtitles}


def becomes(clip: Path, output: Path) -> str:
    """Return what becomes of a clip's second stream in an output."""
    with VideoReader(clip) as reader, open_writer(output, reader) as writer:
        return "left out" if any("stream" in note for note in writer.notes) else "copied"


def page() -> str:
    """Return the page."""
    text = HEAD
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "out").mkdir()
        for heading, clips in make_clips(folder).items():
            text += f"## {heading}\n\n| codec | {' | '.join(CONTAINERS)} |\n"
            text += "| --- " * (len(CONTAINERS) + 1) + "|\n"
            for codec, clip in clips:
                found = [becomes(clip, folder / "out" / f"o{suffix}") for suffix in CONTAINERS]
                text += f"| {codec} | {' | '.join(found)} |\n"
            text += "\n"
    return text.rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

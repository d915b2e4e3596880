"""What a source says of itself and of its picture, and what of it an output can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from av.container import InputContainer
from av.video.stream import VideoStream

from ncavideo.video.pyav import frame_rate
from ncavideo.video.timecode import moved

# Facts about the source file that would be untrue of the output.
OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "software"}
OWN_TAGS |= {"duration", "timecode"}
PICTURE_TAGS = ("language", "title", "handler_name")
TIMECODE = "timecode"
QUICKTIME = ("mp4", "mov")
MOST_NAMED = 4  # of the tags that are lost
# Keys of QuickTime's metadata (com.apple.quicktime.make), as phones and cameras write them.
KEYS = "com."


@dataclass(frozen=True)
class Names:
    """Tags by their names: `clip` those of the file, `picture` those of its video stream."""

    clip: Mapping[str, str] = field(default_factory=dict)
    picture: Mapping[str, str] = field(default_factory=dict)

    def without_timecode(self) -> Names:
        """Return the names without a timecode."""
        return replace(self, picture={k: v for k, v in self.picture.items() if k != TIMECODE})

    def muxer_flags(self, kind: str) -> str:
        """Return the `movflags` that the container's muxer needs for them, or nothing."""
        if kind in QUICKTIME and any(key.startswith(KEYS) for key in self.clip):
            return "+use_metadata_tags"
        return ""


def names_of(source: InputContainer, video: VideoStream, kind: str, later: float) -> Names:
    """Return the names that an output in the container `kind` should have.

    `later`: seconds from the clip's first frame to the output's, by which its timecode is moved.
    """
    clip = {k: v for k, v in source.metadata.items() if k.lower() not in OWN_TAGS}
    picture = {k.lower(): v for k, v in video.metadata.items() if k.lower() in PICTURE_TAGS}
    if kind in QUICKTIME and "title" in picture:
        # QuickTime's name of a track; FFmpeg's demuxer does not read the other one back.
        picture["handler_name"] = picture["title"]
    elif kind not in QUICKTIME:
        picture.pop("handler_name", None)  # FFmpeg's word for a kind of track, in most files
    code = _timecode(source, video)
    rate = frame_rate(video) or Fraction(25)
    if code is not None:
        frames = round(Fraction(later) * rate)
        picture[TIMECODE] = moved(code, frames, rate) or code
    return Names(clip, picture)


def _timecode(source: InputContainer, video: VideoStream) -> str | None:
    """Return the timecode of the first frame: the picture's, a timecode track's or the file's."""
    tracks = [stream.metadata for stream in source.streams if stream.type == "data"]
    for tags in (video.metadata, *tracks, source.metadata):
        for name, value in tags.items():
            if name.lower() == TIMECODE:
                return value
    return None


def lost_names(names: Names, written: InputContainer) -> list[str]:
    """Return sentences about the names that are not in an output as it was written."""
    clip = {name.lower() for name in written.metadata}
    picture = {name.lower() for stream in written.streams.video for name in stream.metadata}
    notes = []
    # A date that a container cannot count to is none: ASF's is mostly 1601, where its clock begins.
    clip.add("creation_time")
    lost = [name for name in names.clip if not _is_among(name.lower(), clip)]
    if lost:
        named = ", ".join(lost[:MOST_NAMED])
        more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
        notes.append(f"left out of the file's tags, which the container cannot hold: {named}{more}")
    if TIMECODE in names.picture and TIMECODE not in picture:
        notes.append(NO_TIMECODE)
    return notes


NO_TIMECODE = "the timecode was left out: the container cannot hold it"


def _is_among(name: str, found: set[str]) -> bool:
    # FFmpeg gives a tag with a language twice, as `location` and `location-eng`.
    base, _, language = name.rpartition("-")
    return name in found or (len(language) == 3 and base in found)

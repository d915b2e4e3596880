#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2); Python 3.11 or newer.
# Guess     `OutputContainer.supported_codecs` tells what a container takes: what is listed can be
#           muxed, what is not cannot. (`add_stream` itself asks the same list.)
# Behaviour Wrong both ways. QuickTime and MP4 share one muxer and one list of tags: VP9, AV1, Opus
#           and FLAC are listed for "mov", `add_stream` takes them, and the muxer refuses its
#           header, which is written when the first packet comes, after the encoder's work: "Invalid
#           argument". MPEG-TS lists nothing at all, not even H.264, and takes it. The only answer
#           is the muxer's own: `start_encoding()` writes the header before any frame is encoded.
# Output    mov     libvpx-vp9  listed      refused
#           mov     libsvtav1   listed      refused
#           mov     libopus     listed      refused
#           mov     flac        listed      refused
#           mov     libx264     listed      taken
#           mpegts  libx264     not listed  taken
#           mpegts  aac         not listed  taken
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0
"$T/venv/bin/python" - <<'PY' 2>"$T/log" || { cat "$T/log" >&2; exit 1; }
import io
import sys

import av
import av.codec

CASES = {
    ("mov", "libvpx-vp9"): (True, False),
    ("mov", "libsvtav1"): (True, False),
    ("mov", "libopus"): (True, False),
    ("mov", "flac"): (True, False),
    ("mov", "libx264"): (True, True),
    ("mpegts", "libx264"): (False, True),
    ("mpegts", "aac"): (False, True),
}
changed = False
for (container, encoder), expected in CASES.items():
    with av.open(io.BytesIO(), "w", format=container) as out:
        codec = av.codec.Codec(encoder, "w")
        listed = codec.canonical_name in out.supported_codecs
        if codec.type == "video":
            stream = out.add_stream(encoder, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        else:
            stream = out.add_stream(encoder, rate=48000)
        try:
            out.start_encoding()
            taken = True
        except av.error.FFmpegError:
            taken = False
    changed |= (listed, taken) != expected
    print(f"{container:7} {encoder:11}", "listed    " if listed else "not listed", "", "taken" if taken else "refused")
sys.exit("the behaviour has changed" if changed else 0)
PY

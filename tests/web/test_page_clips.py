"""Clips and cameras that drive the page, and the clip that it records."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_in_browser import inputs_of, needs_browser, new_tab, until

pytestmark = pytest.mark.slow


def drop(tab: Any, *clips: Path) -> None:
    """Drop clips on the page, one right after the other."""
    for clip in clips:
        dropped = tab.evaluate_handle(
            """([data, name]) => {
                const transfer = new DataTransfer();
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "video/webm" }));
                return transfer;
            }""",
            [base64.b64encode(clip.read_bytes()).decode(), clip.name],
        )
        tab.dispatch_event("body", "drop", {"dataTransfer": dropped})


@needs_browser
def test_a_clip_that_is_dropped_drives_the_rules(opened: Any, tmp_path: Path) -> None:
    clip = tmp_path / "halves.webm"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=black:size=160x96:rate=10:duration=2",
         "-vf", "drawbox=x=80:w=80:h=96:color=white:t=fill", "-c:v", "libvpx", str(clip)],
        check=True,
    )  # fmt: skip
    drop(opened, clip)
    until(opened, "document.getElementById('message').textContent.includes('halves.webm drives')")
    opened.evaluate("() => ncavideo.play()")
    until(opened, "ncavideo.steps > 3")
    opened.evaluate("() => ncavideo.pause()")
    inputs = inputs_of(opened)
    weights = inputs[:4]
    # Two rules take part, as in `--rules fire,moss`: the second has the dark side.
    assert (weights[:, :, :40].argmax(0) == 1).mean() > 0.98
    assert (weights[:, :, 50:].argmax(0) == 0).mean() > 0.98
    assert not weights[2:].any()
    assert inputs[4, :, 50:].mean() > 0.9
    assert np.allclose(inputs[4, :, :40].mean(), 2 * 0.2 - 1, atol=0.1)
    assert opened.locator("#strengths input").nth(0).is_disabled()
    for name in ("water", "magma"):
        opened.locator(f"#taking span:text-is('{name}')").click()
    weights = inputs_of(opened)[:4]
    assert (weights[:, :, :40].argmax(0) == 3).mean() > 0.98
    assert (weights[:, :, 50:].argmax(0) == 0).mean() > 0.98
    for name in ("fire", "moss", "water", "magma"):  # the last one stays
        opened.locator(f"#taking span:text-is('{name}')").click()
    assert opened.locator("#taking input:checked").count() == 1
    opened.locator("#none").click()
    inputs = inputs_of(opened)
    assert np.allclose(inputs[0], 1)
    assert opened.locator("#strengths input").nth(0).is_enabled()


@needs_browser
def test_a_clip_waits_for_a_slow_grid(opened: Any, tmp_path: Path) -> None:
    """In software a large grid takes far fewer than 240 steps a second."""
    clip = tmp_path / "long.webm"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=60",
         "-c:v", "libvpx", str(clip)],
        check=True,
    )  # fmt: skip
    opened.evaluate("() => ncavideo.resize(160, 160)")
    opened.locator("#speed").fill("240")
    drop(opened, clip)
    until(opened, "document.getElementById('video').playbackRate < 0.9")
    shown = opened.evaluate("() => [document.getElementById('video').playbackRate, ncavideo.rate]")
    assert 1 / 16 <= shown[0] < 0.9
    opened.locator("#speed").fill("1")
    until(opened, "document.getElementById('video').playbackRate === 1")


@needs_browser
def test_the_last_of_two_clips_counts(opened: Any, tmp_path: Path) -> None:
    clips = [tmp_path / "first.webm", tmp_path / "second.webm"]
    for clip in clips:
        subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x96:r=10:d=2",
             "-c:v", "libvpx", str(clip)],
            check=True,
        )  # fmt: skip
    drop(opened, *clips)
    said = "document.getElementById('message').textContent"
    until(opened, f"{said}.includes('second.webm drives') || {said}.includes('cannot')")
    time.sleep(0.3)
    assert "second.webm drives" in opened.locator("#message").text_content()


@needs_browser
def test_no_camera_is_left_on(browser: Any, folder: Path) -> None:
    """Two clicks open it twice; `Nothing` ends all of it."""
    context = browser.new_context(permissions=["camera"])
    tab = new_tab(context)
    tab.add_init_script(
        """window.given = [];
        const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wishes) => {
            const stream = await ask(wishes);
            window.given.push(...stream.getTracks());
            return stream;
        };"""
    )
    tab.goto((folder / "tiny.html").as_uri())
    tab.evaluate("() => { for (let i = 0; i < 2; i++) document.getElementById('camera').click(); }")
    until(tab, "window.given.length === 2")
    until(tab, "document.getElementById('message').textContent.includes('camera drives')")
    states = "() => window.given.map((track) => track.readyState)"
    assert sorted(tab.evaluate(states)) == ["ended", "live"]
    tab.locator("#none").click()
    assert tab.evaluate(states) == ["ended", "ended"]
    context.close()


@needs_browser
def test_a_file_that_is_no_clip_is_told(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "letter <b>.mp4").write_text("no clip")
    opened.locator("#file").set_input_files(tmp_path / "letter <b>.mp4")
    until(
        opened, "document.getElementById('message').textContent.includes('cannot play letter <b>')"
    )
    assert opened.locator("#message b").count() == 0


@needs_browser
def test_a_recording_is_a_clip(opened: Any, tmp_path: Path) -> None:
    opened.evaluate("() => ncavideo.play()")
    opened.locator("#record").click()
    time.sleep(1.5)
    until(opened, "ncavideo.steps > 90")  # no frame takes more than fifteen of them
    with opened.expect_download() as saved:
        opened.locator("#record").click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    assert path.name == "elements.webm"
    probe = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", str(path)]
    (stream,) = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)["streams"]
    assert stream["codec_name"] in ("vp8", "vp9")
    assert int(stream["nb_read_packets"]) > 3

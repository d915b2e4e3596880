"""The components of the tab that renders: the form on its left, the stage on its right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app.batch_panel import BatchPanel
from ncavideo.app.fractal_panel import FractalPanel
from ncavideo.app.mask_painting import MaskPainting
from ncavideo.app.part import part
from ncavideo.app.picture_panel import PicturePanel
from ncavideo.app.queue_panel import QueuePanel
from ncavideo.app.render_form import (
    AS_ALL,
    CONTROLS,
    FIELD_CONTROLS,
    FORMATS,
    MOST_RULES,
    OF_LOOKS,
    OWN_CONTROLS,
)
from ncavideo.composite.shading import detail_of
from ncavideo.nca.catalog import SUFFIX, presets
from ncavideo.rendering.looks import looks
from ncavideo.rendering.option_table import Option, table
from ncavideo.rendering.options import RenderOptions

FIRST_RULESET = "elements"
CLIPS = ["video", ".gif", ".mkv", ".mts", ".m2ts", ".mxf", ".ts"]
CREDIT = (
    "The sample clip, which the pictures of looks show, is from Big Buck Bunny, (c) 2008 Blender"
    " Foundation, CC BY 3.0."
)
DEFAULT = RenderOptions(rules=("any",))
TABLE = table(RenderOptions)


class RenderView:
    """The tab's components. `inputs` are those whose values the form reads, by their names."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        with gr.Row(equal_height=False, elem_id="render-tab"):
            with gr.Column(scale=4, min_width=320, elem_id="form"):
                self._make_form()
            with gr.Column(scale=7, min_width=320, elem_id="stage"):
                self._make_stage()
        # The form as it was left, in the browser. (The secret hides nothing: the same at every
        # start, it lets the next server read what this one kept.)
        self.kept = gr.BrowserState(storage_key="ncavideo-form", secret="ncavideo")
        # The number of the form that was answered last.
        self.answered = gr.Number(0, precision=0, visible="hidden", elem_id="answered")
        # Made last: `turn.js` fills in the last of the values that are sent.
        self.turn = gr.Number(0, precision=0, visible=False)
        self.own = [self.inputs[f"own-{index}"] for index in range(MOST_RULES)]

    def set_by_looks(self) -> dict[str, Any]:
        """Return the components that a look sets, by their names."""
        names = ("rules", "slots", "control", "light_control", "opacity_control", "keyframes")
        own = (f"own-{index}" for index in range(MOST_RULES))
        return {name: self.inputs[name] for name in (*names, *OF_LOOKS, *own)}

    def _make_form(self) -> None:
        self.clip = gr.File(
            label="Clip", file_types=CLIPS, height=130, elem_id="clip", elem_classes="nca-drop"
        )
        self.sample = gr.Button("Or take a sample clip", size="sm", elem_id="sample")
        self.looks = gr.HTML(
            shown.look_tiles(looks().values()), js_on_load=part("tiles.js"), elem_id="looks"
        )
        add, names = self._add, list(presets())
        first = FIRST_RULESET if FIRST_RULESET in names else names[0]
        self.ruleset = add(
            "ruleset", gr.Dropdown(names, value=first, label="Rule set", elem_id="ruleset")
        )
        self.strip = gr.HTML(js_on_load=part("swatches.js"), elem_id="strip", min_height=72)
        # What the swatches choose: the page keeps it, and does not show it. The list offers
        # nothing: with other choices and another value at once it may keep the value that it had.
        # (While the page takes over another rule set, it may send the rules of the last one.)
        self.rules = add(
            "rules",
            gr.Dropdown(
                [], multiselect=True, allow_custom_value=True, visible="hidden", elem_id="rules"
            ),
        )
        # The rules that the fields of own controls are for.
        self.slots = add(
            "slots",
            gr.Dropdown(
                [], multiselect=True, allow_custom_value=True, visible="hidden", elem_id="slots"
            ),
        )
        with gr.Accordion("Files: a rule set of your own, a look", open=False, elem_id="files"):
            self.ruleset_file = gr.File(
                label="Open a rule set (.safetensors)", file_types=[SUFFIX], height=130,
                elem_id="ruleset-file",
            )  # fmt: skip
            self.look_file = gr.File(
                label="Open a look (.toml)", file_types=[".toml"], height=130, elem_id="look-file"
            )
            self.save_look = gr.DownloadButton(
                "Save this look", interactive=False, elem_id="save-look"
            )
        add(
            "control",
            gr.Dropdown(_choices(CONTROLS), value="luminance", label="Control that drives them",
                        allow_custom_value=True, elem_id="control"),
        )  # fmt: skip
        add("light", _slider("Strength of the clip's light in the texture", DEFAULT.light))
        add("shade", _slider("Shading of the finished texture", DEFAULT.shade))
        detail = detail_of(DEFAULT.shade)
        add("detail", _slider("Detail of the clip, as of eyes and letters", detail))
        add("opacity", _slider("Opacity", DEFAULT.opacity))
        with gr.Accordion("A control for each rule", open=False, elem_id="own-controls"):
            gr.Markdown(
                "A rule with its own control is active where that says; the others share the rest."
                " Other controls can be typed as on the command line: `hue:20-60,weight=0.5`."
            )
            for index in range(MOST_RULES):
                add(
                    f"own-{index}",
                    gr.Dropdown([AS_ALL, *_choices(OWN_CONTROLS)], value=AS_ALL, visible=False,
                                allow_custom_value=True, elem_id=f"own-{index}"),
                )  # fmt: skip
            self.mask = gr.File(
                label="Mask: a picture or a clip; white is 1",
                file_types=["image", *CLIPS], height=130, elem_id="mask",
            )  # fmt: skip
            add("by_brightness", gr.Checkbox(label="Order the rules by their brightness"))
            add(
                "contrast", _number("Contrast between rules (0: automatic, 1: a plain ramp)", 0, 30)
            )
        with gr.Accordion("On top of the footage", open=False):
            add("blend", component_of(TABLE["blend"], "Blend"))
            add("keep", component_of(TABLE["keep"], "Component of the clip to keep"))
            for name, label in (
                ("opacity_control", "Opacity follows"),
                ("light_control", "Light follows"),
            ):
                add(
                    name,
                    gr.Dropdown([("—", ""), *_choices(FIELD_CONTROLS)], value="", label=label,
                                allow_custom_value=True),
                )  # fmt: skip
            add(
                "matte",
                gr.Checkbox(label="The texture alone, with alpha (ProRes, FFV1 or WebM)"),
            )
        with gr.Accordion("Motion and grid", open=False):
            add("flow", gr.Checkbox(label="Warp the texture along the optical flow"))
            add("on_cut", component_of(TABLE["on_cut"], "At a cut"))
            add("steps", _number("Steps a frame (0: automatic)", 0, 64, 1))
            add("steps_per_second", _number("Or steps a second, at any frame rate", 0, 1000, 5))
            add(
                "keyframes",
                gr.Textbox(label="Keyframes, one a line", lines=2, elem_id="keyframes",
                           placeholder="opacity@0=0,2=1"),
            )  # fmt: skip
            add("quality", component_of(TABLE["quality"], "Quality: size of the cells and steps"))
            add("cell", _number("Pixels a cell (0: automatic)", 0, 32, 1))
            add("upscale", component_of(TABLE["upscale"], "From cells to pixels"))
            add("edge", component_of(TABLE["edge"], "Edge"))
            add("warmup", component_of(TABLE["warmup"], "Steps before the first frame"))
            add("seed", component_of(TABLE["seed"], "Seed"))
        others = [name for name in OF_LOOKS if name not in self.inputs]
        if others:
            with gr.Accordion("More", open=False):
                for name in others:
                    add(name, component_of(TABLE[name], TABLE[name].help))
        with gr.Accordion("Part and format", open=False, elem_id="part"):
            with gr.Row():
                add("begin", gr.Number(0, label="From second", minimum=0, min_width=100))
                add("end", gr.Number(0, label="To second (0: the end)", minimum=0, min_width=100))
            for name, label in (
                ("before", "Seconds to hold the first frame"),
                ("after", "Seconds to hold the last frame"),
                ("loop", "Or a loop: seconds of the transition from the end to the beginning"),
            ):
                add(name, gr.Slider(0, 10, 0, step=0.1, label=label, elem_id=name))
            add(
                "format",
                gr.Dropdown(list(FORMATS), value="As the clip", label="Format", elem_id="format"),
            )

        gr.HTML(shown.line(CREDIT), elem_id="credit")

    def _make_stage(self) -> None:
        self.compare = gr.ImageSlider(
            label="Preview: the clip and the result", interactive=False,
            buttons=["fullscreen"], elem_id="compare", max_height=620, type="filepath",
        )  # fmt: skip
        self.painting = MaskPainting()
        self.motion = gr.HTML(elem_id="motion")
        self.time = gr.Slider(
            0, 1, 0, step=0.01, label="Moment, in seconds", elem_id="time", visible=False
        )
        with gr.Row(elem_id="motion-row", equal_height=True):
            self.move = gr.Button(
                "Two seconds in motion", interactive=False, size="md", elem_id="move",
                min_width=90,
            )  # fmt: skip
            self.picture = PicturePanel()
            self.painting.make_button()
            self.still = gr.Button(visible=False, size="md", elem_id="still")
        self.motion_news = gr.HTML(elem_id="motion-news")
        self.picture.make_result()
        self.said = gr.HTML(shown.line("Drop a clip to begin."), elem_id="said")
        with gr.Accordion("Controls at this moment", open=False, elem_id="at-moment"):
            self.drivers = gr.Gallery(
                columns=4, height="auto", show_label=False, interactive=False, elem_id="drivers",
                buttons=[],
            )  # fmt: skip
        self.queue = QueuePanel()
        self.batch = BatchPanel(CLIPS)
        self.fractal = FractalPanel()
        self.command = gr.Textbox(
            label="Copy as command line",
            lines=2,
            interactive=False,
            buttons=["copy"],
            elem_id="command",
        )

    def _add(self, name: str, component: Any) -> Any:
        self.inputs[name] = component
        return component


def _choices(named: dict[str, str]) -> list[tuple[str, str]]:
    return list(named.items())


def component_of(option: Option, label: str) -> Any:
    """Return what an option is set with; 0 stands for automatic where it has no default."""
    if option.kind == "bool":
        return gr.Checkbox(option.default, label=label)
    if option.choices:
        return gr.Dropdown(list(option.choices), value=option.default, label=label)
    low, high = option.bounds or (None, None)
    return gr.Number(
        option.default or 0, label=label, precision=0 if option.kind == "int" else None,
        minimum=low if option.default is not None else 0, maximum=high,
    )  # fmt: skip


def _slider(label: str, value: float) -> gr.Slider:
    return gr.Slider(0, 1, value, step=0.05, label=label)


def _number(label: str, low: float, high: float, step: float = 0.5) -> gr.Slider:
    return gr.Slider(low, high, 0, step=step, label=label)


def own_updates(
    slots: Sequence[str], rules: Sequence[str], controls: Mapping[str, str]
) -> dict[str, Any]:
    """Return the updates of the fields of own controls.

    `slots`: the rules that they are for; those among the chosen `rules` are shown. `controls`:
    what is set, by rules; the fields of others keep what they have.
    """
    updates: dict[str, Any] = {
        f"own-{index}": gr.update(
            label=rule,
            visible=rule in rules,
            **({"value": controls[rule]} if rule in controls else {}),
        )
        for index, rule in enumerate(slots)
    }
    hidden = {
        f"own-{index}": gr.update(visible=False, value=AS_ALL)
        for index in range(len(slots), MOST_RULES)
    }
    return updates | hidden

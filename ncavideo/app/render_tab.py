"""The tab that renders: a clip, rules, what drives them, a moment to look at, the result."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app import preview_process
from ncavideo.app.background import pumped
from ncavideo.app.look_form import form_of
from ncavideo.app.render_form import (
    AS_ALL,
    AUTOMATIC,
    CONTROLS,
    FIELD_CONTROLS,
    FORMATS,
    MOST_RULES,
    OWN_CONTROLS,
    PLAIN,
    asked_options,
    output_name,
    shown_options,
)
from ncavideo.app.render_job import News, Render
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.nca.catalog import SUFFIX, presets
from ncavideo.nca.ruleset import RuleSet, find_ruleset
from ncavideo.rendering.command_line import render_command
from ncavideo.rendering.look_file import load_look, save_look
from ncavideo.rendering.option_table import Option, table
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

FIRST_RULESET, FIRST_RULES = "elements", 2  # how many rules are chosen to begin with
SETTLING = 0.25  # seconds without another change before a preview is made
CLIPS = ["video", ".gif", ".mkv", ".mts", ".m2ts", ".mxf", ".ts"]
DEFAULT = RenderOptions(rules=("any",))
TABLE = table(RenderOptions)


class RenderTab:
    """The tab's components, and what they do."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._inputs: dict[str, Any] = {}
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self._make_form()
            with gr.Column(scale=7, min_width=320):
                self._make_stage()
        self._own = [self._inputs[f"own-{index}"] for index in range(MOST_RULES)]
        self._connect()

    # What there is on the page.

    def _make_form(self) -> None:
        self.clip = gr.File(
            label="Clip", file_types=CLIPS, height=130, elem_id="clip", elem_classes="nca-drop"
        )
        add, names = self._add, list(presets())
        first = FIRST_RULESET if FIRST_RULESET in names else names[0]
        self.ruleset = add(
            "ruleset", gr.Dropdown(names, value=first, label="Rule set", elem_id="ruleset")
        )
        self.strip = gr.HTML(elem_id="strip", min_height=72)
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
        self.rules = add(
            "rules",
            gr.Dropdown(
                [], multiselect=True, max_choices=MOST_RULES, elem_id="rules",
                label="Rules, from the brightest parts to the darkest",
            ),
        )  # fmt: skip
        add(
            "control",
            gr.Dropdown(_choices(CONTROLS), value="luminance", label="What drives them",
                        allow_custom_value=True, elem_id="control"),
        )  # fmt: skip
        add("light", _slider("Light of the clip in the texture", DEFAULT.light))
        add("shade", _slider("Shading after the fact", DEFAULT.shade))
        add("opacity", _slider("Opacity", DEFAULT.opacity))
        with gr.Accordion("Each rule its own control", open=False, elem_id="own-controls"):
            gr.Markdown(
                "A rule with a control of its own lives there; the others share the rest. What is"
                " not in a list can be typed as on the command line: `hue:20-60,weight=0.5`."
            )
            for index in range(MOST_RULES):
                add(
                    f"own-{index}",
                    gr.Dropdown([AS_ALL, *_choices(OWN_CONTROLS)], value=AS_ALL, visible=False,
                                allow_custom_value=True, elem_id=f"own-{index}"),
                )  # fmt: skip
            self.mask = gr.File(
                label="My mask: a picture or a clip, white where it is 1",
                file_types=["image", *CLIPS], height=130, elem_id="mask",
            )  # fmt: skip
            add("by_brightness", gr.Checkbox(label="Order the rules by their own brightness"))
            add(
                "contrast", _number("Contrast between rules (0: automatic, 1: a plain ramp)", 0, 30)
            )
        with gr.Accordion("On top of the footage", open=False):
            add("blend", _component(TABLE["blend"], "Blend"))
            add("keep", _component(TABLE["keep"], "Keep of the clip"))
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
            add("flow", gr.Checkbox(label="Carry the texture along with what moves"))
            add("on_cut", _component(TABLE["on_cut"], "At a cut"))
            add("steps", _number("Steps a frame (0: automatic)", 0, 64, 1))
            add("tempo", _number("Or steps a second, whatever the frame rate", 0, 1000, 5))
            add(
                "keys",
                gr.Textbox(label="Keyframes, one a line", lines=2, elem_id="keys",
                           placeholder="opacity@0=0,2=1"),
            )  # fmt: skip
            add("cell", _number("Pixels a cell (0: automatic)", 0, 32, 1))
            add("upscale", _component(TABLE["upscale"], "From cells to pixels"))
            add("edge", _component(TABLE["edge"], "Edge"))
            add("warmup", _component(TABLE["warmup"], "Steps before the first frame"))
            add("seed", _component(TABLE["seed"], "Seed"))
        others = [name for name in (*PLAIN, *AUTOMATIC) if name not in self._inputs]
        if others:
            with gr.Accordion("More", open=False):
                for name in others:
                    add(name, _component(TABLE[name], TABLE[name].help))
        with gr.Accordion("Part and format", open=False, elem_id="part"):
            with gr.Row():
                add("begin", gr.Number(0, label="From second", minimum=0, min_width=100))
                add("end", gr.Number(0, label="To second (0: the end)", minimum=0, min_width=100))
            for name, label in (
                ("before", "Hold the first frame for so many seconds"),
                ("after", "Hold the last frame for so many seconds"),
                ("loop", "Or a loop: seconds in which the end becomes the beginning"),
            ):
                add(name, gr.Slider(0, 10, 0, step=0.1, label=label, elem_id=name))
            add(
                "format",
                gr.Dropdown(list(FORMATS), value="As the clip", label="Format", elem_id="format"),
            )

    def _make_stage(self) -> None:
        self.compare = gr.ImageSlider(
            label="A moment: the clip, and what becomes of it", interactive=False,
            buttons=["fullscreen"], elem_id="compare", max_height=620, type="filepath",
        )  # fmt: skip
        self.time = gr.Slider(
            0, 1, 0, step=0.01, label="Moment, in seconds", elem_id="time", visible=False
        )
        self.said = gr.HTML(shown.line("Drop a clip to begin."), elem_id="said")
        with gr.Accordion("What drives it there", open=False):
            self.drivers = gr.Gallery(
                columns=4, height="auto", show_label=False, interactive=False, elem_id="drivers",
                buttons=[],
            )  # fmt: skip
        with gr.Row():
            self.go = gr.Button("Render", variant="primary", elem_id="render", interactive=False)
            self.stop = gr.Button("Cancel", interactive=False, elem_id="cancel")
        self.news = gr.HTML(elem_id="news")
        self.result = gr.HTML(elem_id="result")
        self.download = gr.DownloadButton("Download", visible=False, elem_id="download")
        self.command = gr.Textbox(
            label="Copy as command line",
            lines=2,
            interactive=False,
            buttons=["copy"],
            elem_id="command",
        )

    def _add(self, name: str, component: Any) -> Any:
        self._inputs[name] = component
        return component

    # What happens.

    def _connect(self) -> None:
        inputs = {*self._inputs.values(), self.time}
        look = (self.compare, self.drivers, self.said, self.command, self.save_look)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.clip.change(
            self._take_clip,
            self.clip,
            [self.time, self.said, self.go, self.compare, self.drivers, self.command],
            **quiet,
        ).then(self._look, inputs, [*look], concurrency_limit=None, **quiet)
        self.mask.change(self._take_mask, self.mask, None, **quiet).then(
            self._look, inputs, [*look], concurrency_limit=None, **quiet
        )
        self.ruleset.input(self._show_ruleset, self.ruleset, [self.strip, self.rules], **quiet)
        self.rules.change(self._show_own, [self.rules, *self._own], self._own, **quiet)
        self.ruleset_file.upload(
            self._open_ruleset, self.ruleset_file,
            [self.ruleset, self.strip, self.rules, self.said, self.ruleset_file], **quiet,
        ).success(self._look, inputs, [*look], concurrency_limit=None, **quiet)  # fmt: skip
        self.look_file.upload(
            self._open_look, [self.look_file, self.ruleset],
            [self.ruleset, self.strip, self.said, self.look_file,
             *self._set_by_looks().values()], **quiet,
        ).success(self._look, inputs, [*look], concurrency_limit=None, **quiet)  # fmt: skip
        gr.on(
            [component.change for name, component in self._inputs.items() if name != "ruleset"]
            + [self.time.change],
            self._look, inputs, [*look], trigger_mode="multiple", concurrency_limit=None, **quiet,
        )  # fmt: skip
        self.go.click(
            self._render, inputs, [self.news, self.result, self.download, self.go, self.stop],
            concurrency_limit=None, trigger_mode="once", **quiet,
        )  # fmt: skip
        self.stop.click(self._cancel, None, None, concurrency_limit=None, **quiet)

    def on_load(self, page: gr.Blocks) -> None:
        """Have a new tab of the browser begin."""
        page.load(
            self._show_ruleset, self.ruleset, [self.strip, self.rules], show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip

    async def _take_clip(self, upload: str | None, request: gr.Request) -> tuple[Any, ...]:
        session = self._service.session(request)
        session.clip = None
        nothing = (gr.update(interactive=False), None, None, "")
        if upload is None:
            return (gr.update(visible=False), shown.line("Drop a clip to begin."), *nothing)
        try:
            clip = session.take(upload, "clip")
            found = await self._service.moments.run(preview_process.facts, clip)
        except UserError as error:
            return gr.update(visible=False), _bad(session, error), *nothing
        # A render may be reading the one before, and what it made is shown beside it.
        if not session.busy("render") and session.last_render is None:
            session.keep_only("clip", clip.parent)
        session.clip = clip
        # The very end of a clip has no frame any more.
        last = max(found.seconds - 1 / found.rate, 0.01)
        facts = (
            f"{found.width}x{found.height}, {found.rate:.3g} frames a second, {found.seconds:.1f} s"
        )
        time = gr.update(maximum=round(last, 2), value=round(last / 2, 2), visible=True)
        return time, shown.line(facts), gr.update(interactive=True), None, None, ""

    def _take_mask(self, upload: str | None, request: gr.Request) -> None:
        session = self._service.session(request)
        session.mask = None if upload is None else session.take(upload, "mask")

    async def _show_ruleset(self, name: str, request: gr.Request) -> tuple[Any, Any]:
        session = self._service.session(request)
        try:
            rules = session.ruleset(name).rule_names
            pictures = await self._service.samples(session.ruleset_path(name))
        except UserError as error:
            raise _told(session, error) from error
        first = list(rules[:FIRST_RULES])
        return shown.strip(pictures), gr.update(choices=list(rules), value=first)

    async def _open_ruleset(self, upload: str, request: gr.Request) -> tuple[Any, ...]:
        session = self._service.session(request)
        try:
            path = session.take(upload, "ruleset")
            name = RuleSet.load(path).name
            session.own[name] = path
            strip, rules = await self._show_ruleset(name, request)
        except UserError as error:
            raise _told(session, error) from error
        chosen = gr.update(choices=session.ruleset_names(), value=name)
        return chosen, strip, rules, shown.line(f"{name} is one of the rule sets now."), None

    async def _open_look(self, upload: str, current: str, request: gr.Request) -> tuple[Any, ...]:
        session = self._service.session(request)
        components = self._set_by_looks()
        try:
            path = session.take(upload, "look")
            values, name = form_of(load_look(path), session.ruleset_names())
            wanted = set(values["rules"])
            # Without a rule set of its own: the one that is chosen, one's own, a preset.
            for known in [name] if name else [current, *session.own]:
                if wanted <= set(session.ruleset(known).rule_names):
                    name = known
                    break
            else:
                path_of = session.ruleset_path(name) if name else None
                name = find_ruleset(values["rules"], path_of).name
            rules = list(session.ruleset(name).rule_names)
            pictures = await self._service.samples(session.ruleset_path(name))
        except UserError as error:
            raise _told(session, error) from error
        session.slots = values["rules"]
        session.opened = {rule: values[f"own-{i}"] for i, rule in enumerate(session.slots)}
        updates = {key: gr.update(value=values[key]) for key in components}
        updates["rules"] = gr.update(choices=rules, value=values["rules"])
        for index in range(MOST_RULES):
            updates[f"own-{index}"] = _slot(session.slots, index, values[f"own-{index}"])
        said = shown.line(f"{path.name} is set.")
        return name, shown.strip(pictures), said, None, *updates.values()

    def _set_by_looks(self) -> dict[str, Any]:
        """Return the components that a look sets, by their names."""
        names = ("rules", "control", "light_control", "opacity_control", "keys", *PLAIN, *AUTOMATIC)
        own = (f"own-{index}" for index in range(MOST_RULES))
        return {name: self._inputs[name] for name in (*names, *own)}

    def _show_own(self, rules: list[str], request: gr.Request, *controls: str) -> list[Any]:
        """Show a control for each rule: a rule keeps its own when others come and go."""
        session = self._service.session(request)
        kept = dict(zip(session.slots, controls, strict=False))
        # A look sets rules and controls at once: what the form says then may be from before it.
        if list(rules) == list(session.opened):
            kept = session.opened
        session.slots, session.opened = list(rules), {}
        return [
            _slot(rules, index, kept.get(rule, AS_ALL))
            for index, rule in enumerate([*rules, *[""] * MOST_RULES][:MOST_RULES])
        ]

    async def _look(self, values: dict[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        """Show the moment, unless something has changed in the meantime."""
        session = self._service.session(request)
        session.ticket += 1
        mine, clip = session.ticket, session.clip
        nothing = tuple(gr.skip() for _ in range(5))
        if clip is None:
            return nothing
        await asyncio.sleep(SETTLING)
        if mine != session.ticket:
            return nothing
        try:
            options, name = self._asked(values, session, clip)
            folder = session.place("moment")
            found = await self._service.moments.run(
                preview_process.moment, clip, options, float(values[self.time] or 0), folder
            )
        except (UserError, OSError) as error:
            # Whose tab was closed has no folder any more.
            if mine != session.ticket or session.closed:
                return nothing
            return gr.skip(), gr.skip(), _bad(session, error), "", gr.update(interactive=False)
        if mine != session.ticket or session.closed:
            return nothing
        session.keep_only("moment", folder)
        drivers = [
            (str(path), name) for name, path in found.items() if name not in ("source", "result")
        ]
        pair = (str(found["source"]), str(found["result"]))
        shared = shown_options(options, presets())
        saved = folder / f"{'-'.join(options.rules)}.toml"
        save_look(saved, shared)
        look = gr.update(value=str(saved), interactive=True)
        return pair, drivers, "", self._command(clip, shared, name), look

    def _render(self, values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        session = self._service.session(request)
        idle = (gr.update(interactive=True), gr.update(interactive=False))
        busy = (gr.update(interactive=False), gr.update(interactive=True))
        keep, clip = gr.skip(), session.clip
        try:
            if clip is None:
                raise UserError("drop a clip first")
            options, name = self._asked(values, session, clip)
        except UserError as error:
            yield _bad(session, error), keep, keep, *idle
            return
        folder = session.place("render")
        render = Render(clip, folder / name, options, self._service.renders)
        session.run("render", render)
        news = News("starting")
        try:
            for news in pumped(render.run()):
                if news.state in ("waiting", "starting", "rendering"):
                    yield _progress(news), keep, keep, *busy
        finally:
            session.run("render", None)
        if news.state != "done":
            # What was finished before is still there to be downloaded.
            session.keep_only("render", session.last_render)
            cancelled = news.state == "cancelled"
            said = shown.line("Cancelled.") if cancelled else _bad(session, news.reason)
            yield said, keep, keep, *idle
            return
        session.last_render = folder
        session.keep_only("render", folder)
        output = folder / name
        said = shown.line(f"{name}: {news.done} frames", "good") + shown.lines(list(news.notes))
        file = gr.update(value=str(output), visible=True)
        part = ""
        if options.start or options.duration:
            begin = options.start or 0.0
            part = f"{begin:g}" + (f",{begin + options.duration:g}" if options.duration else "")
        yield said, shown.before_and_after(clip, output, part), file, *idle

    def _cancel(self, request: gr.Request) -> None:
        self._service.session(request).stop("render")

    def _asked(
        self, values: dict[Any, Any], session: Session, clip: Path
    ) -> tuple[RenderOptions, str]:
        """Return what the form asks for, and the output's name."""
        named = {name: values[component] for name, component in self._inputs.items()}
        named["own"] = [values[component] for component in self._own]
        options = asked_options(named, session.ruleset_path(named["ruleset"]), session.mask)
        return options, output_name(clip, options, named["format"])

    def _command(self, clip: Path, options: RenderOptions, output: str) -> str:
        from ncavideo.rendering.render import default_output

        plain = default_output(clip, options).name == output
        return render_command(clip.name, options, None if plain else output)


def _bad(session: Session, error: Exception | str) -> str:
    """Return an error as a line of the page."""
    return shown.line(shown.sentence(session.plain(str(error))), "bad")


def _told(session: Session, error: Exception) -> gr.Error:
    """Return an error as a notice above the page, for what changes nothing on it."""
    return gr.Error(html.escape(shown.sentence(session.plain(str(error)))), print_exception=False)


def _slot(rules: list[str], index: int, control: str) -> Any:
    """Return the update of a rule's own control; there is none beyond the last rule."""
    if index >= len(rules):
        return gr.update(visible=False, value=AS_ALL)
    return gr.update(label=rules[index], visible=True, value=control)


def _progress(news: News) -> str:
    if news.state == "waiting":
        others = "another render" if news.before == 1 else f"{news.before} other renders"
        return shown.bar(f"Waiting for {others} to end: one is done at a time")
    if news.state == "starting":
        return shown.bar("Starting")
    of = f" of {news.frames}" if news.frames else ""
    text = f"{news.done}{of} frames"
    if news.rate:
        text += f", {news.rate:.1f} a second"
        left = (news.frames - news.done) / news.rate if news.frames else 0
        text += f", {shown.seconds(left)} left" if left > 1 else ""
    return shown.bar(text, news.done, news.frames)


def _choices(named: dict[str, str]) -> list[tuple[str, str]]:
    return list(named.items())


def _component(option: Option, label: str) -> Any:
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

"""The tab that trains: rules from prompts and style pictures, watched as they learn."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html
from ncavideo.app.background import in_background
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.app.train_form import GUIDES, MOST_RULES, asked_recipe, sheet_every
from ncavideo.app.train_job import Training, TrainingStatus
from ncavideo.training.recipe import Recipe
from ncavideo.util.errors import UserError
from ncavideo.web.export import export

ITERATIONS, FEWEST, MOST = 8000, 20, 40_000
HOW_LONG = (
    "Four rules take about 8,000 iterations: 45 minutes of one CPU core, and a first"
    " likeness shows after some hundred. Stop whenever you like what you see: the rule set is kept"
    " as far as it has come, and Start goes on from there if nothing was changed. Structures of 4"
    " to 30 pixels in a picture become structures of as many cells."
)


class TrainTab:
    """The tab's components and their handlers."""

    def __init__(self, service: Service, rulesets: gr.Dropdown) -> None:
        self._service, self._rulesets = service, rulesets
        self._inputs: dict[str, Any] = {}
        self._styles: list[gr.File] = []
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self._make_form()
            with gr.Column(scale=6, min_width=320):
                self._make_stage()
        self._connect()

    # What there is on the page.

    def _make_form(self) -> None:
        gr.Markdown(HOW_LONG)
        add = self._add
        add(
            "name",
            gr.Textbox("mine", label="Name of the rule set", max_lines=1, elem_id="train-name"),
        )
        for index in range(MOST_RULES):
            with gr.Accordion(f"Rule {index + 1}", open=not index, elem_id=f"train-rule-{index}"):
                with gr.Row():
                    add(
                        f"rule-{index}",
                        gr.Textbox(label="Name", max_lines=1, placeholder="rust", min_width=100,
                                   elem_id=f"rule-{index}"),
                    )  # fmt: skip
                    add(
                        f"prompt-{index}",
                        gr.Textbox(label="Prompt", max_lines=2, scale=3, min_width=180,
                                   placeholder="flaking rust on old iron"),
                    )  # fmt: skip
                self._styles.append(
                    gr.File(label="Style pictures", file_count="multiple", file_types=["image"],
                            height=130, elem_id=f"styles-{index}")
                )  # fmt: skip
        add("iterations", gr.Slider(FEWEST, MOST, ITERATIONS, step=20, label="Iterations",
                                    elem_id="iterations"))  # fmt: skip
        with gr.Accordion("More", open=False):
            add(
                "guide",
                gr.Dropdown(list(GUIDES.items()), value="none", label="What judges prompts"),
            )
            add(
                "dream",
                gr.Checkbox(
                    label="Draw a picture from the words first, where a rule has none (ImageNet)",
                    elem_id="train-dream",
                ),
            )
            add(
                "likeness",
                gr.Slider(
                    0, 2, 0, step=0.1, elem_id="train-likeness",
                    label="Likeness of whole crops to the pictures, by an ImageNet classifier",
                ),
            )  # fmt: skip
            add("size", gr.Slider(48, 192, 96, step=8, label="Side of the training grids, in cells",
                                  elem_id="train-size"))  # fmt: skip
            add("seed", gr.Number(0, label="Seed", precision=0, minimum=0))

    def _make_stage(self) -> None:
        with gr.Row():
            self.go = gr.Button("Start", variant="primary", elem_id="train")
            self.stop = gr.Button("Stop", interactive=False, elem_id="train-stop")
        self.news = gr.HTML(
            html.line("Each rule needs a name and a picture."), elem_id="train-news"
        )
        self.sheet = gr.Image(
            label="Every rule, from dark to bright: the newest sample", interactive=False,
            buttons=["fullscreen"], type="filepath", elem_id="train-sheet",
        )  # fmt: skip
        self.plot = gr.LinePlot(
            x="iteration", y="loss", label="Loss", height=220, visible=False, elem_id="train-loss"
        )
        self.download = gr.DownloadButton(
            "Download the rule set", visible=False, elem_id="train-download"
        )
        self.page = gr.DownloadButton(
            "Download it as a page that lives", visible=False, elem_id="train-page"
        )
        self.recipe = gr.Textbox(
            label="Recipe, for ncavideo train", lines=4, max_lines=18, interactive=False,
            buttons=["copy"], elem_id="recipe",
        )  # fmt: skip

    def _add(self, name: str, component: Any) -> None:
        self._inputs[name] = component

    # What happens.

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.go.click(
            self._train,
            {*self._inputs.values(), *self._styles},
            [self.news, self.sheet, self.plot, self.download, self.page, self.recipe,
             self._rulesets, self.go, self.stop],
            concurrency_limit=None, trigger_mode="once", **quiet,
        )  # fmt: skip
        self.stop.click(self._stop, None, self.stop, concurrency_limit=None, **quiet)

    def _train(self, values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        session = self._service.session(request)
        idle = (gr.update(interactive=True), gr.update(interactive=False))
        busy = (gr.update(interactive=False), gr.update(interactive=True))
        keep = gr.skip()
        try:
            recipe, folder = self._prepared(values, session)
        except UserError as error:
            said = html.line(html.sentence(session.plain(str(error))), "bad")
            yield said, keep, keep, keep, keep, keep, keep, *idle
            return
        text = (folder / "recipe.toml").read_text("utf-8")
        output = folder / f"{recipe.name}.safetensors"
        training = Training(
            folder / "recipe.toml", output, folder / "run", sheet_every(recipe.iterations),
            self._service.trainings,
        )  # fmt: skip
        session.run("train", training)
        gone = gr.update(visible=False)
        yield html.bar("Starting"), keep, keep, gone, gone, text, keep, *busy
        news, notes = TrainingStatus("starting"), list[str]()
        sheet: Path | None = None
        points = 0
        try:
            for news in in_background(training.run()):
                if news.reason and news.state == "training":
                    notes.append(news.reason)
                if training.stopping:
                    busy = (gr.update(interactive=False), gr.update(interactive=False))
                    told = html.bar("Stopping: saving what has been learnt")
                else:
                    told = _progress(news, recipe)
                told += html.lines(notes)
                newest, losses = training.sheet(), training.losses()
                picture = str(newest) if newest is not None and newest != sheet else keep
                plot = _plotted(losses) if len(losses) > max(points, 1) else keep
                sheet, points = newest, len(losses)
                yield told, picture, plot, keep, keep, keep, keep, *busy
        finally:
            session.run("train", None)
        newest = training.sheet()
        picture = str(newest) if newest is not None else keep
        if news.state == "failed" or not output.exists():
            reason = news.reason or "Stopped before it had learnt anything."
            told = html.line(html.sentence(session.plain(reason)), "bad")
            yield told, picture, keep, keep, keep, keep, keep, *idle
            return
        session.own[recipe.name] = output
        self._service.forget_samples(output)
        how = "Stopped" if news.state == "stopped" else "Done"
        said = f"{how} after {news.done} iterations. {recipe.name} can be chosen on the Render tab."
        page = output.with_suffix(".html")
        export(session.ruleset(recipe.name), page, overwrite=True)
        files = [gr.update(value=str(path), visible=True) for path in (output, page)]
        choices = gr.update(choices=session.ruleset_names())
        told = html.line(said, "good") + html.lines(notes)
        yield told, picture, keep, *files, keep, choices, *idle

    def _prepared(self, values: dict[Any, Any], session: Session) -> tuple[Recipe, Path]:
        """Return the recipe and the folder of its run: the last one's, if it is the same recipe."""
        named = {name: values[component] for name, component in self._inputs.items()}
        folder, used = session.place("train"), False
        try:
            (folder / "styles").mkdir()
            styles = []
            for number, component in enumerate(self._styles, 1):
                uploads = [Path(upload) for upload in values[component] or ()]
                styles.append(
                    [
                        session.take_to(upload, folder / "styles" / _style_name(number, upload))
                        for upload in dict.fromkeys(uploads)
                    ]
                )
            recipe = asked_recipe(named, styles)
            text = recipe.to_toml(folder)
            last = session.last_training
            if last is not None and (last / "recipe.toml").read_text("utf-8") == text:
                return recipe, last
            (folder / "recipe.toml").write_text(text, "utf-8")
            session.last_training, used = folder, True
            return recipe, folder
        finally:
            if not used:
                shutil.rmtree(folder, ignore_errors=True)

    def _stop(self, request: gr.Request) -> Any:
        self._service.session(request).stop("train")
        return gr.update(interactive=False)


def _style_name(number: int, upload: Path) -> str:
    """Return the name of a rule's picture in its run.

    Not after the rule, since what a user types is no part of a path; but after what is in it, so
    that another picture makes another recipe.
    """
    digest = hashlib.sha256(upload.read_bytes()).hexdigest()[:12]
    return f"rule-{number}-{digest}{upload.suffix}"


def _progress(news: TrainingStatus, recipe: Recipe) -> str:
    if news.state == "waiting":
        return html.bar("Waiting for another training to end: one is done at a time")
    if news.state == "starting":
        return html.bar("Starting: loading the pictures and the network that judges style")
    loss = "" if news.loss is None else f", loss {news.loss:.3f}"
    return html.bar(
        f"{news.done} of {recipe.iterations} iterations{loss}", news.done, recipe.iterations
    )


def _plotted(losses: list[dict[str, Any]]) -> Any:
    import pandas

    frame = pandas.DataFrame(
        {
            "iteration": [line["iteration"] for line in losses],
            "loss": [line["total"] for line in losses],
        }
    )
    return gr.update(value=frame, visible=True)

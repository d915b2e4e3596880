"""The handlers of the Render tab: clip, rules, controls, preview, render."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app import preview_process
from ncavideo.app.left_form import left_form
from ncavideo.app.look_form import form_of
from ncavideo.app.part import part
from ncavideo.app.refusals import bad, told
from ncavideo.app.render_form import AS_ALL, own_controls, own_slots, shown_options
from ncavideo.app.render_results import RenderResults
from ncavideo.app.render_view import RenderView, own_updates
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.app.shown_rules import shown_rules
from ncavideo.nca.catalog import presets
from ncavideo.nca.ruleset import RuleSet, find_ruleset
from ncavideo.rendering.look_file import load_look
from ncavideo.rendering.looks import looks
from ncavideo.util.errors import UserError

FIRST_RULES = 2  # how many rules are chosen to begin with
SAMPLE = "big-buck-bunny.mp4"
OUTPUTS = 11  # components that an answer to a form sets
SETTLING = 0.25  # seconds without another change before a preview is made


class RenderTab:
    """Connects the tab's components to their handlers."""

    def __init__(self, service: Service) -> None:
        self._service, self.view = service, RenderView()
        self._results = RenderResults(service, self.view)
        self._connect()

    def _connect(self) -> None:
        view = self.view
        inputs = {*view.inputs.values(), view.time, view.turn}
        motion = (view.motion, view.motion_news, view.move, view.still)
        look = (
            view.compare, view.drivers, view.said, view.command, view.save_look, view.kept,
            *motion, view.answered,
        )  # fmt: skip
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        # What is chosen while the answer to the last choice is on its way counts as well.
        each: dict[str, Any] = {**quiet, "trigger_mode": "multiple", "concurrency_limit": None}
        # Forms have numbers, as the network may deliver a newer one first.
        forms: dict[str, Any] = {**each, "js": part("turn.js")}
        taken = [view.time, view.said, view.queue.go, view.move, view.compare, view.drivers]
        view.clip.change(self._take_clip, view.clip, [*taken, view.command], **quiet).then(
            self._look, inputs, [*look], **forms
        )
        view.sample.click(self._take_sample, None, view.clip, **quiet)
        for taken in view.painting.connect(
            self._service, view.mask, view.inputs["control"], view.own
        ):
            taken.then(self._look_again, inputs, [*look], **forms)
        for chosen in (
            view.ruleset.input(self._show_ruleset, view.ruleset, [view.strip, view.rules], **each),
            view.strip.select(self._choose, None, view.rules, **each),
        ):
            chosen.then(self._rules_again, [view.ruleset, view.rules], view.rules, **each)
        # That answer, too, may be overtaken, and then be the last that the page hears. And rules
        # that never reached the page change nothing there: each reading of the form asks, too.
        gr.on(
            [view.rules.change, view.answered.change],
            self._rules_again, [view.ruleset, view.rules], view.rules, **each,
        )  # fmt: skip
        view.rules.change(self._show_own, None, [view.slots, *view.own], **quiet)
        view.ruleset_file.upload(
            self._open_ruleset, view.ruleset_file,
            [view.ruleset, view.strip, view.rules, view.said, view.ruleset_file], **each,
        ).success(self._look, inputs, [*look], **forms)  # fmt: skip
        opened = [view.ruleset, view.strip, view.said, *view.set_by_looks().values()]
        view.look_file.upload(
            self._take_look, [view.look_file, view.ruleset], [view.look_file, *opened], **each
        ).success(self._look, inputs, [*look], **forms)
        view.looks.select(self._open_shipped_look, view.ruleset, opened, **each).success(
            self._look, inputs, [*look], **forms
        )
        gr.on(
            [component.change for name, component in view.inputs.items() if name != "ruleset"]
            + [view.time.change],
            self._look, inputs, [*look], **forms,
        )  # fmt: skip
        # Until the form that was answered is the one that the page has.
        view.answered.change(self._look_again, inputs, [*look], **forms)
        make = self._results
        view.move.click(
            make.move, inputs, [view.compare, *motion], concurrency_limit=None,
            trigger_mode="once", js=shown_rules(inputs, view.rules), **quiet,
        )  # fmt: skip
        view.still.click(
            make.back_to_still, None, [view.compare, *motion], concurrency_limit=None, **quiet
        )
        view.picture.connect(self._service, view.clip, view.time, inputs, view.rules, make.asked)
        view.queue.connect(self._service, inputs, view.rules, make.asked)
        view.batch.connect(self._service, inputs, view.rules, view.queue)
        grown = (view.inputs[name] for name in ("ruleset", "rules", "seed", "edge"))
        view.fractal.connect(self._service, *grown)

    def on_load(self, page: gr.Blocks) -> None:
        """Bring back the form when the page is opened."""
        view = self.view
        page.load(
            self._begin, view.kept, [view.strip, view.said, *view.inputs.values()],
            concurrency_limit=None, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        view.fractal.on_load(page)

    async def _begin(self, kept: Any, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """Bring back the form as it was left; without one show the first rule set."""
        session, inputs = self._service.session(request), self.view.inputs
        session.begun = True
        keep: Any = gr.skip()
        said = keep
        try:
            clip, values = left_form(kept, self.view.inputs, session)
        except UserError as error:
            clip, values = None, None
            said = bad(session, f"the form could not be brought back: {error}")
        if values is None:
            async for strip, rules in self._show_ruleset(self.view.ruleset.value, request):
                yield strip, said, *[rules if name == "rules" else keep for name in inputs]
                said = keep
            return
        name = values["ruleset"]
        session.show(name, session.ruleset(name).rule_names)
        session.chosen = list(values["rules"])
        controls = own_controls(values)
        session.slots = own_slots(list(controls), session.chosen)
        updates = {key: gr.update(value=values[key]) for key in inputs}
        updates["slots"] = gr.update(value=session.slots)
        updates |= own_updates(session.slots, session.chosen, controls)
        if clip is not None:
            said = shown.line(
                f"The form is as you left it. Drop {clip} again: no clip outlives its tab."
            )
        yield self._swatches(session), said, *updates.values()
        await self._service.samples(session.ruleset_path(name))
        strip = self._swatches(session) if session.shown == name else keep
        yield strip, keep, *[keep for _ in inputs]

    def _kept(self, values: dict[Any, Any], session: Session) -> Any:
        """Return what the browser keeps of the form: its values, and the name of its clip."""
        if not session.begun:
            return gr.skip()
        named = {name: values[component] for name, component in self.view.inputs.items()}
        return {"clip": session.clip and session.clip.name, "values": named}

    async def _take_clip(self, upload: str | None, request: gr.Request) -> tuple[Any, ...]:
        session = self._service.session(request)
        session.clip = None
        nothing = (gr.update(interactive=False), gr.update(interactive=False), None, None, "")
        if upload is None:
            return (gr.update(visible=False), shown.line("Drop a clip to begin."), *nothing)
        try:
            clip = session.take(upload, "clip")
            found = await self._service.moments.run(preview_process.facts, clip)
        except UserError as error:
            return gr.update(visible=False), bad(session, error), *nothing
        session.clip = clip
        session.tidy()
        # The very end of a clip has no frame any more.
        last = max(found.seconds - 1 / found.rate, 0.01)
        facts = (
            f"{found.width}x{found.height}, {found.rate:.3g} frames a second, {found.seconds:.1f} s"
        )
        time = gr.update(maximum=round(last, 2), value=round(last / 2, 2), visible=True)
        ready = gr.update(interactive=True)
        return time, shown.line(facts), ready, ready, None, None, ""

    def _take_sample(self, request: gr.Request) -> str:
        """Return a copy of the sample clip, which is then taken as if it had been dropped."""
        folder = self._service.session(request).place("sample")
        with resources.as_file(resources.files("ncavideo.app") / SAMPLE) as sample:
            return str(shutil.copy(sample, folder / SAMPLE))

    async def _show_ruleset(self, name: str, request: gr.Request) -> AsyncIterator[tuple[Any, Any]]:
        """Show the rules of a rule set at once, and their pictures when they are drawn."""
        session = self._service.session(request)
        try:
            session.show(name, session.ruleset(name).rule_names)
            session.chosen = list(session.rules[:FIRST_RULES])
            rules = gr.update(value=session.chosen)
            yield self._swatches(session), rules
            await self._service.samples(session.ruleset_path(name))
        except UserError as error:
            raise told(session, error) from error
        # Another one may have been chosen meanwhile.
        yield (self._swatches(session) if session.shown == name else gr.skip()), gr.skip()

    async def _rules_again(self, name: str, rules: list[str], request: gr.Request) -> Any:
        """Return the rules that are chosen, if the page has lost them to another update."""
        session = self._service.session(request)
        lost = name == session.shown and list(rules or ()) != session.chosen
        return session.chosen if lost else gr.skip()

    def _swatches(self, session: Session) -> str:
        """Return the swatches of the rule set that is shown, with the pictures there are."""
        session.turn += 1
        pictures = self._service.known_samples(session.ruleset_path(session.shown))
        return shown.swatches(session.rules, session.chosen, pictures, session.turn)

    async def _choose(self, event: gr.EventData, request: gr.Request) -> Any:
        """Return the rules that the swatches choose, in the order of choosing."""
        session = self._service.session(request)
        # A newer choice may overtake one on its way, or another rule set. (A plain function would
        # run in a thread, in which one could also overtake between the question and the answer.)
        if event.number < session.turn_of_choice or not set(event.rules) <= set(session.rules):
            return gr.skip()
        session.turn_of_choice, session.chosen = event.number, list(event.rules)
        session.set_form()
        return session.chosen

    async def _open_ruleset(
        self, upload: str, request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        session = self._service.session(request)
        try:
            path = session.take(upload, "ruleset")
            name = RuleSet.load(path).name
            session.own[name] = path
        except UserError as error:
            raise told(session, error) from error
        chosen = gr.update(choices=session.ruleset_names(), value=name)
        said = shown.line(f"{name} is one of the rule sets now.")
        dropped = None
        async for strip, rules in self._show_ruleset(name, request):
            yield chosen, strip, rules, said, dropped
            chosen = said = dropped = gr.skip()

    async def _take_look(
        self, upload: str, current: str, request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        session = self._service.session(request)
        dropped = None
        async for updates in self._open_look(session.take(upload, "look"), current, session):
            yield dropped, *updates
            dropped = gr.skip()

    async def _open_shipped_look(
        self, current: str, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        session = self._service.session(request)
        look = looks().get(event.look)
        if look is not None:
            async for updates in self._open_look(look.path, current, session):
                yield updates

    async def _open_look(
        self, path: Path, current: str, session: Session
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Set the form as the look says."""
        components = self.view.set_by_looks()
        try:
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
            session.show(name, session.ruleset(name).rule_names)
        except UserError as error:
            raise told(session, error) from error
        session.chosen = values["rules"]
        session.slots, controls = values["slots"], own_controls(values)
        updates = {key: gr.update(value=values[key]) for key in components}
        updates |= own_updates(session.slots, session.chosen, controls)
        said = shown.line(f"The look {path.stem} is set.")
        yield name, self._swatches(session), said, *updates.values()
        try:
            await self._service.samples(session.ruleset_path(name))
        except UserError as error:
            raise told(session, error) from error
        strip = self._swatches(session) if session.shown == name else gr.skip()
        yield gr.skip(), strip, *[gr.skip() for _ in range(len(updates) + 1)]

    async def _show_own(self, request: gr.Request) -> list[Any]:
        """Show a control for each rule that is chosen.

        A rule keeps its field while others come and go. The page takes over fields one by one:
        were controls to move from one field to the next, it could tell them half moved, and a
        rule would lose its control.
        """
        session = self._service.session(request)
        session.set_form()
        before, session.slots = session.slots, own_slots(session.slots, session.chosen)
        fresh = {rule: AS_ALL for rule in session.slots if rule not in before}
        return [session.slots, *own_updates(session.slots, session.chosen, fresh).values()]

    async def _look(
        self, values: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Show the command line at once, and the preview, unless an input changes before that.

        Gradio repeats what was yielded last when all is done, over what came from others meanwhile.
        """
        session = self._service.session(request)
        mine, clip = int(values[self.view.turn]), session.clip
        keep = gr.skip()
        nothing = (keep,) * OUTPUTS
        back: tuple[Any, ...] = (keep,) * 5
        if mine < session.turn_of_form:  # a newer form overtook this one on its way
            yield nothing
            return
        session.turn_of_form, session.answered = mine, self._form(values, session)
        if clip is None:
            if session.moving is not None:
                back = self._results.back_to_still(request)
            yield back[0], *nothing[:4], self._kept(values, session), *back[1:], mine
            return
        try:
            options, name = self._results.asked(values, session, clip)
            shared = shown_options(options, presets())
            time = float(values[self.view.time] or 0)
            if session.moving not in (None, (clip, options, time)):
                back = self._results.back_to_still(request)
            save = gr.update(value=str(session.saved_look(shared)), interactive=True)
            yield (
                back[0], keep, keep, self._results.command(clip, shared, name), save,
                self._kept(values, session), *back[1:], mine,
            )  # fmt: skip
            await asyncio.sleep(SETTLING)
            if mine != session.turn_of_form:
                yield nothing
                return
            folder = session.place("moment")
            found = await self._service.moments.run(
                preview_process.moment, clip, options, time, folder
            )
        except (UserError, OSError) as error:
            # A session whose tab was closed has no folder any more.
            if mine != session.turn_of_form or session.closed:
                yield nothing
            else:
                said = bad(session, error)
                save = gr.update(interactive=False)
                yield keep, keep, said, "", save, *nothing[5:-1], mine
            return
        if mine != session.turn_of_form or session.closed:
            yield nothing
            return
        session.keep_only("moment", folder)
        drivers = [
            (str(path), name) for name, path in found.items() if name not in ("source", "result")
        ]
        pair = (str(found["source"]), str(found["result"]))
        yield pair, drivers, "", *nothing[3:]

    async def _look_again(
        self, values: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Answer the form that an answer has left, if it is another one.

        The page reads a form's fields some time before it sends them: of two forms the later one
        may have the older values. And it takes over what the server sets in several turns, without
        an event for a field that is folded away: for a while the form is read again and again.
        """
        session, nothing = self._service.session(request), (gr.skip(),) * OUTPUTS
        if self._form(values, session) != session.answered:
            async for updates in self._look(values, request):
                yield updates
            return
        mine, pause = int(values[self.view.turn]), session.settling()
        session.turn_of_reading = max(mine, session.turn_of_reading)
        await asyncio.sleep(pause)
        again = pause and mine == session.turn_of_reading and not session.closed
        yield (*nothing[:-1], mine) if again else nothing

    def _form(self, values: dict[Any, Any], session: Session) -> object:
        """Return all that an answer depends on."""
        fields = [values[component] for component in (*self.view.inputs.values(), self.view.time)]
        return session.clip, session.mask, fields

"""The jobs of a batch, from folders, patterns and lists."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import os
import string
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncavideo.batch.urls import Place, Url, place
from ncavideo.rendering.option_table import current_name, table
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError
from ncavideo.util.fetch import hidden, is_url, is_web, said
from ncavideo.util.read_file import read_text
from ncavideo.video.clip import Clip
from ncavideo.video.numbered import clip_name, is_sequence

# Suffixes that a folder is searched for; a clip given by name may have any suffix.
CLIPS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts"}
    | {".wmv", ".flv", ".ogv", ".3gp", ".gif", ".mxf", ".dv"}
)
TEMPLATE = "{stem}.{rules}{suffix}"
LISTS = {"": "folder", ".csv": "list", ".toml": "list"}  # what may hold several clips, by suffix
PLACES = ("stem", "rules", "suffix", "parent", "number")
KEPT = frozenset({".mp4", ".mov", ".mkv", ".webm", ".gif"})
# The options that a job of a list may have: those of its clip and of its look.
OPTIONS = {
    name: option
    for name, option in table(RenderOptions).items()
    if option.belongs in ("look", "file")
}
ADDED = ("levels", "fps")  # options that came later than journals: not given, they change no key
MOST_BYTES = 64 << 20  # of a list


@dataclass(frozen=True)
class Job:
    """One clip to render. `key` changes with the clip's file, the output and every option."""

    clip: Place
    output: Place
    options: RenderOptions

    @property
    def key(self) -> str:
        """A hash of what the job is; the clip counts by its place and `Clip.identity`."""
        facts = self.clip.facts() if isinstance(self.clip, Url) else _facts(self.clip)
        parts = [str(self.clip.absolute()), facts, str(self.output.absolute())]
        known = table(RenderOptions)
        asked = {
            n: getattr(self.options, n) for n in known if known[n].belongs not in ("pipe", "run")
        }
        text = json.dumps([*parts, asked], default=str, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _facts(clip: Path) -> list[str]:
    """Return what changes when a clip's files do; nothing if they are not there."""
    try:
        return [Clip(clip).identity]
    except UserError:  # the render meets the same error, and tells it
        return []


def find_jobs(
    sources: Sequence[str],
    out_dir: Place,
    asked: Mapping[str, Any],
    *,
    template: str = TEMPLATE,
    recursive: bool = False,
) -> list[Job]:
    """Return the jobs of clips, folders, patterns and lists (.csv, .toml), in their order.

    `asked`: options for all of them, which a list's own come before. Raises `UserError` for a
    source without clips, a bad list, or two clips that would become one output.
    """
    _check_template(template)
    jobs: list[Job] = []
    for number, (clip, own) in enumerate(_sources(sources, recursive, out_dir), 1):
        options = dict(asked) | own
        output = options.pop("output", None)
        if "rules" not in options:
            raise UserError(f"{clip} has no rules: give --rules, or a column for them in the list")
        wanted = RenderOptions(**options)
        name = output or _named(template, clip, wanted, number)
        target = out_dir / name
        if not _inside(target, out_dir):
            raise UserError(f"the output {name} of {clip} lies outside of {out_dir}")
        jobs.append(Job(clip, target, wanted))
    if not jobs:
        raise UserError("there is no clip to render in " + ", ".join(sources))
    seen: dict[Place, Place] = {}
    for job in jobs:
        if job.output in seen:
            raise UserError(
                f"{seen[job.output]} and {job.clip} would both become {job.output.name}: use"
                " --template, as {parent}-{stem}{suffix} or {number}-{stem}{suffix}"
            )
        seen[job.output] = job.clip
    return jobs


def _sources(
    sources: Sequence[str], recursive: bool, out_dir: Place
) -> Iterator[tuple[Place, dict[str, Any]]]:
    for text in sources:
        if is_url(text):
            yield from _remote(text, recursive)
            continue
        path = Path(text)
        if path.is_dir():
            # Outputs of an earlier batch would otherwise be rendered again by each next one.
            outputs = _folder_within(out_dir, path)
            found = [
                clip
                for clip in _in_folder(path, recursive)
                if outputs is None or outputs not in clip.resolve().parents
            ]
            if not found:
                raise UserError(f"there is no clip in {path}" + _hint(recursive))
            yield from ((clip, {}) for clip in found)
        elif LISTS.get(path.suffix.lower()) == "list" and path.exists():
            yield from (_csv if path.suffix.lower() == ".csv" else _toml)(path)
        elif path.exists() or not glob.has_magic(text):
            # A clip that is not there fails by itself; a folder or a list would have had others.
            if path.suffix.lower() in LISTS and not path.exists():
                raise UserError(f"there is no {LISTS[path.suffix.lower()]} {path}")
            yield path, {}
        else:
            matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - with its own folders
            if not matches:
                raise UserError(f"nothing matches {text}")
            yield from ((Path(m), {}) for m in matches if not Path(m).is_dir())


def _folder_within(out_dir: Place, folder: Path) -> Path | None:
    """Return the outputs' folder without links, if it lies in `folder`."""
    if isinstance(out_dir, Url):
        return None
    outputs = out_dir.resolve()
    return outputs if folder.resolve() in outputs.parents else None


def _inside(target: Place, folder: Place) -> bool:
    if isinstance(target, Url) or isinstance(folder, Url):
        return ".." not in target.parts
    return folder.resolve() in target.resolve().parents


def _remote(text: str, recursive: bool) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the clips at a URL: of one, of a folder, or of a pattern."""
    here = Url(text.rstrip("/"))
    try:
        found: list[Url] | None = [here]
        path, query, _ = text.partition("?") if is_web(text) else (text, "", "")
        if glob.has_magic(path):
            found = here.matches()
        elif not query and here.suffix.lower() not in CLIPS:
            inside = here.inside(recursive)
            found = inside and [f for f in inside if f.suffix.lower() in CLIPS]
    except UserError:
        raise
    # Every kind of URL has errors of its own.
    except Exception as error:
        raise UserError(f"{hidden(text)} cannot be looked into: {said(error)}") from error
    if not found:
        raise UserError(f"there is no clip at {hidden(text)}" + _hint(recursive))
    yield from ((clip, {}) for clip in found)


def _hint(recursive: bool) -> str:
    return "" if recursive else " (--recursive looks into its folders, too)"


def _in_folder(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield a folder's clips in order; links to folders are not followed, so loops end."""
    for here, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for name in sorted(files):
            if is_clip(name):
                yield Path(here) / name


def is_clip(name: str) -> bool:
    """Return whether a file of a folder is taken for a clip, by its name."""
    return Path(name).suffix.lower() in CLIPS and not name.startswith(".")


def _check_template(template: str) -> None:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise UserError(f"--template {template!r} is not a template: {error}") from error
    unknown = names - set(PLACES)
    if unknown or not names & {"stem", "number"}:
        raise UserError(
            f"--template {template!r} must hold {{stem}} or {{number}}, and may hold"
            f" {', '.join('{' + place + '}' for place in PLACES)}"
        )
    try:
        template.format(**dict.fromkeys(PLACES, "1"))
    # `{stem:d}`, `{stem[a]}`, `{stem.x}`, `{stem:99999999999}`
    except (ValueError, LookupError, TypeError, AttributeError, MemoryError) as error:
        raise UserError(f"--template {template!r} is not a template: {error}") from error


def _named(template: str, clip: Place, options: RenderOptions, number: int) -> str:
    numbered = isinstance(clip, Path) and is_sequence(clip)
    suffix = clip.suffix.lower() if clip.suffix.lower() in KEPT and not numbered else ".mp4"
    name = template.format(
        stem=clip_name(clip) if isinstance(clip, Path) else clip.stem,
        rules="-".join(options.rules),
        suffix=".mov" if options.matte else suffix,
        parent=clip.absolute().parent.name,
        number=f"{number:04d}",
    )
    return name.replace("/", "_").replace("\0", "_")


def _csv(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Read a table with a column `clip`, and any of `output` and the options."""
    try:
        rows = list(csv.DictReader(_text(path).splitlines()))
    except csv.Error as error:
        raise UserError(f"the list {path} is not a table: {error}") from error
    for line, row in enumerate(rows, 2):
        given = {k.strip(): v.strip() for k, v in row.items() if k and v and v.strip()}
        values: dict[str, Any] = {}
        for key, text in given.items():
            values[key] = _value(text) if key not in ("clip", "output") else text
        yield _job(path, f"line {line}", values)


def _toml(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Read `[[job]]` tables."""
    try:
        data = tomllib.loads(_text(path))
    except (ValueError, RecursionError) as error:  # a number of 5000 digits is no TOML error
        raise UserError(f"the list {path} is not TOML: {error}") from error
    jobs = data.get("job")
    if not isinstance(jobs, list) or set(data) - {"job", "format"}:
        raise UserError(f"the list {path} must hold [[job]] tables and nothing else")
    for number, job in enumerate(jobs, 1):
        if not isinstance(job, dict):
            raise UserError(f"job {number} in the list {path} is not a table")
        yield _job(path, f"job {number}", job)


def _job(path: Path, where: str, values: Mapping[str, Any]) -> tuple[Place, dict[str, Any]]:
    options: dict[str, Any] = {}
    for key, value in values.items():
        name = current_name(RenderOptions, key.replace("-", "_"))
        if name in options:
            raise UserError(f"{where} in the list {path} has {name} twice: {key!r} names it, too")
        if name in ("clip", "output"):
            if not isinstance(value, str) or not value:
                raise UserError(f"{key} of {where} in the list {path} must be a text")
            if "\0" in value:
                raise UserError(f"{key} of {where} in the list {path} holds a zero byte")
            options[name] = value
        elif name in OPTIONS:
            options[name] = OPTIONS[name].read(value, key, path)
        else:
            raise UserError(f"{where} in the list {path} has an unknown key {key!r}")
    if "clip" not in options:
        raise UserError(f"{where} in the list {path} names no clip")
    clip = str(options.pop("clip"))
    return place(clip) if is_url(clip) else path.parent / clip, options


def _value(text: str) -> Any:
    """Return the value of a table's cell: a number, true, false, `a;b`, or a text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.split(";") if ";" in text else text


def _text(path: Path) -> str:
    try:
        return read_text(path, "list", MOST_BYTES, "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the list {path} cannot be read ({error})") from error


def as_arguments(options: RenderOptions) -> dict[str, Any]:
    """Return options as plain data for another process."""
    return {name: getattr(options, name) for name in table(RenderOptions)}

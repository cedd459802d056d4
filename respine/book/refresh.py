"""Chapters executed in place with their default parameters: the committed outputs are those of the committed code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from respine.book.build import Request, executed_notebook, make_plan, run_chapters
from respine.book.chapters import select
from respine.book.execute import Progress, silent
from respine.book.paths import write_whole
from respine.book.transaction import one_at_a_time


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Chapters whose file changed, and those that already were what their code gives."""

    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


def refresh(
    request: Request,
    wanted: tuple[str, ...] = (),
    progress: Progress = silent,
    say: Callable[[str], None] = lambda text: None,
) -> Refreshed:
    """Execute the chapters called ``wanted`` (all by default) and write them back, deterministic to the byte.

    Nothing is written unless all of them succeed.

    Raises
    ------
    RefusedError, BuildFailedError
        As :func:`respine.book.build.build`.
    """
    with one_at_a_time(request.repository.scratch, say):
        plan = make_plan(request.repository)
        chapters = select(plan.chapters, wanted)
        plan = replace(plan, chapters=chapters, inputs={c.name: plan.inputs[c.name] for c in chapters})
        entries, _, _ = run_chapters(replace(request, force=True), plan, progress)
        changed = []
        for chapter in chapters:
            content = executed_notebook(chapter, entries[chapter.name]).encode()
            if content != chapter.path.read_bytes():
                write_whole(chapter.path, content)
                changed.append(chapter.name)
    return Refreshed(tuple(changed), tuple(c.name for c in chapters if c.name not in changed))

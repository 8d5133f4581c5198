"""The site's contents: a page for every instrument and every case, as the registries have them (a hook)."""

from typing import Any

from unexplained.study import CASEBOOK, INSTRUMENTS

ROOMS = {"instruments/index.md": INSTRUMENTS, "casebook/index.md": CASEBOOK}


def on_config(config: Any) -> Any:
    """Put every page of a room under the room's own."""
    config.nav = [_unfolded(one) for one in config.nav]
    return config


def _unfolded(one: Any) -> Any:
    if not isinstance(one, dict):
        return one
    ((title, page),) = one.items()
    if not isinstance(page, str) or page not in ROOMS:
        return one
    folder = page.partition("/")[0]
    return {title: [page, *({name: f"{folder}/{name}.md"} for name in ROOMS[page].all())]}

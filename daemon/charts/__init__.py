"""Interactive pages of a run, readable offline: each chart on its own, and all of them on `index.html`."""

from daemon.charts.pages import write_pages

__all__ = ["write_pages"]

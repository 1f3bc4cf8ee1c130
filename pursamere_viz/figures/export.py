"""A figure with frames as one page that works offline, with the same transport bar as the app."""

from __future__ import annotations

import html
from functools import cache
from importlib.resources import files

import plotly.graph_objects as go

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 1600px; padding: 12px 20px; background: #fff; color: #31333f;
  font: 18px/1.45 system-ui, sans-serif; }}
h1 {{ margin: 0 0 6px; font-size: 26px; }}
figure {{ margin: 0; }}
.js-plotly-plot text {{ fill: currentColor !important; }}
{css}
</style>
</head>
<body>
<h1>{title}</h1>
{bar}
<figure role="group" aria-label="{title}">
{figure}
<figcaption>{caption}</figcaption>
</figure>
<script>
{core}
mountTransport(document, () => document.querySelector(".js-plotly-plot"));
</script>
</body>
</html>
"""


@cache
def transport_source() -> tuple[str, str, str]:
    """The transport bar's (html, css, js); the script defines mountTransport(root, findGraph) -> cleanup."""
    here = files("pursamere_viz.figures")
    html_, css, js = ((here / f"transport.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return html_, css, js


def to_html(figure: go.Figure, *, title: str, caption: str) -> str:
    """A standalone page (plotly.js inside, no network) of a figure made with slider=False; plain title and caption."""
    bar, css, core = transport_source()
    shown = go.Figure(figure).update_layout(template="plotly_white")
    body = shown.to_html(full_html=False, include_plotlyjs=True, auto_play=False, config={"responsive": True})
    return PAGE.format(
        title=html.escape(title), caption=html.escape(caption), css=css, core=core, figure=body,
        bar=bar if figure.frames else bar.replace("<div", "<div hidden", 1),
    )  # fmt: skip

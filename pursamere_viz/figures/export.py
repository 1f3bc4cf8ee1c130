"""A film as one page that works offline, with the same player as the app."""

from __future__ import annotations

import html
import json

from pursamere_viz.figures.player import Film, player_source, plotly_bundle

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 1600px; padding: 12px 20px; background: #fff; color: #1b1f24;
  font: 18px/1.45 system-ui, sans-serif; }}
h1 {{ margin: 0 0 6px; font-size: 26px; }}
figure {{ margin: 0; }}
{css}
</style>
</head>
<body>
<h1>{title}</h1>
<figure>
{player}
<figcaption>{caption}</figcaption>
</figure>
<script>{plotly}</script>
<script>
{core}
mountPlayer(document, Plotly).update({film});
</script>
</body>
</html>
"""


def to_html(film: Film, *, title: str, caption: str) -> str:
    """A standalone page (plotly.js inside, no network) of a film; plain title and caption."""
    player, css, core = player_source()
    data = json.dumps(film.as_data()).replace("</", "<\\/")  # nothing in it may end the script
    return PAGE.format(
        title=html.escape(title), caption=html.escape(caption), css=css, core=core, player=player, film=data,
        plotly=plotly_bundle(film.solid).read_text(encoding="utf-8"),
    )  # fmt: skip

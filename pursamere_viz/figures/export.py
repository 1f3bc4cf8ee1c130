"""A film as one page that works offline, with the same player as the app."""

from __future__ import annotations

import base64
import gzip
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

# A picture, in whose place the page stands where scripts may run; a page is packed, as a notebook would be twice as large.
EMBEDDED = """<img alt="{about}" style="max-width: 100%" src="data:image/png;base64,{picture}"><script>
((script, packed) => {{
  const frame = document.createElement("iframe"), bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
  Object.assign(frame, {{ title: "{title}", style: "width: 100%; height: {height}px; border: 0" }});
  new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text().then((page) => {{
    frame.srcdoc = page;
    script.previousElementSibling.replaceWith(frame);
  }});
}})(document.currentScript, "{packed}");
</script>"""
AROUND = 130  # px of the page above and below its figure


def to_html(film: Film, *, title: str, caption: str) -> str:
    """A standalone page (plotly.js inside, no network) of a film; plain title and caption."""
    player, css, core = player_source()
    data = json.dumps(film.as_data()).replace("</", "<\\/")  # nothing in it may end the script
    return PAGE.format(
        title=html.escape(title), caption=html.escape(caption), css=css, core=core, player=player, film=data,
        plotly=plotly_bundle(film.solid).read_text(encoding="utf-8"),
    )  # fmt: skip


def to_embedded(film: Film, picture: bytes, *, title: str) -> str:
    """A film as a piece of a page: its PNG, which gives way to the player of `to_html` where scripts run; no network."""
    packed = gzip.compress(to_html(film, title=title, caption="").encode("utf-8"), mtime=0)
    return EMBEDDED.format(
        about=html.escape(film.about), title=html.escape(title), picture=base64.b64encode(picture).decode("ascii"),
        height=film.figure.layout.height + AROUND, packed=base64.b64encode(packed).decode("ascii"),
    )  # fmt: skip

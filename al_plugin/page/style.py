"""The page's one style sheet. Colours of text have a contrast of at least 4.5 to 1 in both schemes."""

LIGHT = {
    "paper": "#f6f7f9",
    "card": "#ffffff",
    "ink": "#1c2430",
    "muted": "#525c6a",
    "rule": "#d5dae1",
    "blue": "#1b5f95",
    "orange": "#a34a08",
    "pool": "#838d9b",
    "good": "#1d6b3a",
    "bad": "#a3231f",
}
DARK = {
    "paper": "#12161c",
    "card": "#1b212a",
    "ink": "#e8ebef",
    "muted": "#a9b3c0",
    "rule": "#36404d",
    "blue": "#79b8ee",
    "orange": "#f2a65e",
    "pool": "#77828f",
    "good": "#7fd39b",
    "bad": "#f49a95",
}


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


STYLE = f""":root{{color-scheme:light dark;{_variables(LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}
*{{box-sizing:border-box}}
html{{-webkit-text-size-adjust:100%}}
body{{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
  "Helvetica Neue",Arial,sans-serif}}
header,main,footer{{max-width:1120px;margin:0 auto;padding:0 20px}}
header{{padding-top:28px}}
h1{{font-size:1.65rem;line-height:1.2;margin:0 0 4px}}
h2{{font-size:1.2rem;margin:0 0 12px;line-height:1.3}}
h3{{font-size:1rem;margin:0}}
p{{margin:0 0 10px;max-width:75ch}}
a{{color:var(--blue)}}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{{outline:3px solid var(--blue);outline-offset:2px;
  border-radius:3px}}
.skip{{position:absolute;left:-9999px}}
.skip:focus{{left:20px;top:8px;background:var(--card);padding:4px 10px}}
.muted,figcaption,summary{{color:var(--muted)}}
.lead{{color:var(--muted);margin-bottom:18px}}
nav{{margin:0 0 18px;font-size:.92rem}}
nav ul{{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:4px 16px}}
nav li a{{display:inline-block;padding:3px 0}}
section{{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:20px;margin:0 0 18px}}
.facts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;margin:0 0 14px;padding:0}}
.facts div{{border-left:3px solid var(--rule);padding-left:12px;min-width:0}}
.facts dt{{color:var(--muted);font-size:.85rem}}
.facts dd{{margin:0;font-size:1.45rem;line-height:1.25;font-weight:600;overflow-wrap:anywhere}}
.facts dd small{{display:block;font-size:.82rem;font-weight:400;color:var(--muted);line-height:1.35}}
.next{{border-left:4px solid var(--blue);padding:10px 14px;margin:0;background:var(--paper);border-radius:0 6px 6px 0;
  max-width:none}}
.grid{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:22px}}
figure{{margin:0;min-width:0}}
figcaption{{font-size:.88rem;margin-bottom:8px}}
@media (min-width:900px){{.solo>figure{{display:grid;grid-template-columns:minmax(0,500px) minmax(0,1fr);
  column-gap:28px;grid-template-rows:auto 1fr}}.solo>figure>svg{{grid-row:1/3;grid-column:1}}.solo>figure>figcaption,
  .solo>figure>details{{grid-column:2}}.solo>figure>figcaption{{grid-row:1}}}}
section h3{{margin:14px 0 4px}}
figcaption strong{{color:var(--ink)}}
svg{{display:block;width:100%;height:auto;max-width:500px}}
summary{{cursor:pointer;font-size:.88rem;padding:4px 0}}
.scroll{{overflow-x:auto;max-width:100%;margin-bottom:10px}}
details .scroll,.solo .scroll{{max-height:420px;overflow-y:auto}}
table{{border-collapse:collapse;font-size:.88rem;width:auto}}
th,td{{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--rule);vertical-align:top;
  overflow-wrap:anywhere}}
td{{min-width:3.2em}}
thead th{{color:var(--muted);font-weight:600;position:sticky;top:0;background:var(--card);white-space:nowrap}}
tbody th{{font-weight:500;min-width:7em;overflow-wrap:break-word}}
.muted{{font-size:.9rem}}
.n{{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}}
code,kbd{{font:.9em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}}
.cards{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:14px;padding:0;
  margin:0 0 14px;list-style:none}}
.cards>li{{border:1px solid var(--rule);border-radius:8px;padding:14px;min-width:0;scroll-margin-top:8px}}
.cards>li:target{{border-color:var(--blue)}}
.cards h3{{overflow-wrap:anywhere;margin:0 0 6px}}
.cards p,.cards ul{{margin:0 0 8px;font-size:.9rem}}
.cards ul{{padding-left:18px}}
.badge{{display:inline-block;font-size:.76rem;font-weight:600;border:1px solid currentColor;border-radius:99px;
  padding:0 8px;color:var(--blue);margin-left:6px;vertical-align:2px}}
.badge.random{{color:var(--muted)}}
.text{{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid var(--rule);padding-left:10px;
  max-height:12em;overflow-y:auto}}
.thumb{{display:block;height:84px;width:auto;max-width:100%;image-rendering:pixelated;border:1px solid var(--rule);
  margin-bottom:8px;background:var(--paper)}}
.near{{display:flex;flex-wrap:wrap;gap:6px 12px;list-style:none;padding:0!important}}
.near .thumb{{height:44px;margin:0 0 2px}}
.bars{{max-width:250px;margin-bottom:8px}}
.good{{color:var(--good)}}
.bad{{color:var(--bad)}}
footer{{color:var(--muted);font-size:.85rem;padding-bottom:32px}}
svg text{{fill:var(--ink);font:12px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}}
svg .t{{fill:var(--muted)}}
svg .small{{font-size:10px}}
svg .cell{{fill:var(--ink)}}
svg .grid{{stroke:var(--rule);stroke-width:.7;display:inline}}
svg .axis{{stroke:var(--muted);stroke-width:1}}
svg .line{{stroke:var(--blue);stroke-width:2;fill:none;stroke-linejoin:round}}
svg .line.dot{{fill:var(--blue);stroke:none}}
svg .line.whisker{{stroke-width:1.3}}
svg .control{{stroke:var(--orange);stroke-dasharray:5 3}}
svg .control.dot{{fill:var(--orange)}}
svg .control.whisker{{stroke-dasharray:none}}
svg .ahead{{stroke:var(--blue);stroke-dasharray:2 4}}
svg .ahead.whisker{{stroke-dasharray:none;stroke-width:1}}
svg .ahead.dot{{fill:var(--card);stroke:var(--blue);stroke-width:1.5;stroke-dasharray:none}}
svg .ideal{{stroke:var(--muted);stroke-width:1;stroke-dasharray:4 4}}
svg .whisker.ink{{stroke:var(--ink);stroke-width:1.2}}
svg .bar.pool{{fill:var(--pool)}}
svg .bar.labeled{{fill:var(--blue)}}
svg .bar.query{{fill:var(--orange)}}
svg .dots{{stroke:var(--pool);stroke-width:2.6;stroke-linecap:round;stroke-opacity:.6;fill:none}}
svg .mark.pool{{fill:var(--pool)}}
svg .mark.labeled{{fill:var(--blue);stroke:var(--card);stroke-width:.8}}
svg .mark.query{{fill:var(--orange);stroke:var(--card);stroke-width:.8}}
svg .right{{fill:var(--blue);stroke:var(--rule);stroke-width:.5}}
svg .wrong{{fill:var(--orange);stroke:var(--rule);stroke-width:.5}}
@media (max-width:520px){{header,main,footer{{padding-left:12px;padding-right:12px}}section{{padding:14px}}
h1{{font-size:1.35rem}}}}
@media print{{body{{background:#fff}}section{{break-inside:avoid;border:0;padding:8px 0}}nav{{display:none}}}}
"""

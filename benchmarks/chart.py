"""Draws the creates a second as bars, in an SVG that reads on light and on dark pages and needs nothing from outside."""
from xml.sax.saxutils import escape

WIDTH, LEFT, BAR, LONGEST = 760, 104, 22, 380
RATIO = WIDTH - 110

STYLE = """
.page { fill: #ffffff } .text { fill: #1f2328 } .quiet { fill: #59636e } .bar { fill: #afb8c1 } .ours { fill: #0969da }
.line { stroke: #d1d9e0 }
text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif } .title { font-size: 16px; font-weight: 600 }
.small { font-size: 11px } .strong { font-weight: 600 } .end { text-anchor: end } .number { font-variant-numeric: tabular-nums }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } .text { fill: #f0f6fc } .quiet { fill: #9198a1 } .bar { fill: #59636e } .ours { fill: #4493f8 }
  .line { stroke: #3d444d }
}
"""


def draw(panels, conditions):
    """`panels`: (connections, [(name, creates a second, the service's ratio to it, p99 in µs)]). The service is the name to stand out."""
    most = max(rate for _, bars in panels for _, rate, _, _ in bars)
    drawn, y = [], 66

    def write(x, y, classes, text):
        drawn.append(f'<text x="{x}" y="{y}" class="{classes}">{escape(text)}</text>')

    write(20, 32, "text title", "Link sessions created a second")
    write(RATIO, 32, "quiet end", "service ÷ it")
    write(WIDTH - 20, 32, "quiet end", "p99 latency")
    for connections, bars in panels:
        write(20, y, "text strong", f"{connections} connections")
        drawn.append(f'<line x1="20" x2="{WIDTH - 20}" y1="{y + 8}" y2="{y + 8}" class="line"/>')
        y += 18
        for name, rate, ratio, p99 in bars:
            ours = name == "service"
            weight = "text strong" if ours else "text"
            length = max(1, round(rate / most * LONGEST))
            baseline = y + BAR - 7
            write(LEFT - 10, baseline, f"{weight} end", name)
            drawn.append(
                f'<rect x="{LEFT}" y="{y + 2}" width="{length}" height="{BAR - 5}" rx="2" class="{"ours" if ours else "bar"}"/>')
            write(LEFT + length + 8, baseline, f"{weight} number", f"{rate:,.0f}")
            write(RATIO, baseline, "quiet number end", "" if ours else f"{ratio:.2f}")
            write(WIDTH - 20, baseline, f"{weight} number end", f"{p99 / 1000:,.1f} ms" if p99 else "–")
            y += BAR
        y += 30
    lines, line = [], ""
    for word in conditions.split():
        if len(line) + len(word) > 118:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    for line in [*lines, line]:
        write(20, y, "quiet small", line)
        y += 15
    y += 5
    title = "Link sessions created a second, by the service and its peers"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img" '
        f'aria-label="{title}">\n<title>{title}</title>\n<style>{STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{y}" rx="6" class="page"/>\n' + "\n".join(drawn) + "\n</svg>\n")

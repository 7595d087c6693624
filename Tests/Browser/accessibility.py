"""What keeps a page from being for everybody."""
from axe_playwright_python.sync_playwright import Axe

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def findings(tab):
    """What axe-core finds serious or critical."""
    violations = Axe().run(tab).response["violations"]
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
        for violation in violations if violation["impact"] in ("serious", "critical") for node in violation["nodes"]]


FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex='-1'])"

FOCUS = """
() => {
    const element = document.activeElement, style = getComputedStyle(element);
    const all = [...document.querySelectorAll(%r)];
    const box = element.getBoundingClientRect();
    return {
        index: all.indexOf(element), name: element.outerHTML.slice(0, 100),
        ringed: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none',
        inView: box.bottom > 0 && box.top < innerHeight && box.left >= 0 && box.right <= innerWidth,
        large: box.width >= 24 && box.height >= 24 || style.display === 'inline',
    };
}
""" % FOCUSABLE


def expect_reachable_by_keyboard(tab):
    """Tab reaches everything in the order of the page, and shows where it is."""
    count = tab.locator(FOCUSABLE).count()
    for index in range(count):
        tab.keyboard.press("Tab")
        focus = tab.evaluate(FOCUS)
        assert focus["index"] == index, f"Tab number {index + 1} reached {focus}"
        assert focus["ringed"] and focus["inView"] and focus["large"], focus

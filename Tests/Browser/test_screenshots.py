"""Writes the pictures of docs/screenshots: `UPDATE_SCREENSHOTS=1 scripts/test --browser test_screenshots.py`."""
import io

import pytest
from pages import PAGES
from PIL import Image
from service import REPOSITORY
from steps import shows

DIRECTORY = REPOSITORY / "docs/screenshots"

PICTURES = [
    (page, width, "light") for page in ("link", "sandbox", "confirm", "failed", "expired") for width in (320, 1280)
] + [("link", width, "dark") for width in (320, 1280)]


@pytest.mark.parametrize("page, width, colors", PICTURES)
def test_a_picture_is_taken(service, new_visitor, page, width, colors):
    visitor = new_visitor(viewport={"width": width, "height": 640 if width == 320 else 720}, color_scheme=colors)
    tab = PAGES["declined" if page == "failed" else page][0](service, visitor, "en")
    shows(tab, PAGES["declined" if page == "failed" else page][1])
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    file = DIRECTORY / f"{page}-{width}{'-dark' if colors == 'dark' else ''}.png"
    picture = Image.open(io.BytesIO(tab.screenshot(full_page=True))).convert("RGB")
    picture.quantize(64).save(file, optimize=True)
    assert file.stat().st_size < 60_000

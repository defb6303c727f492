"""The rendered book in a real browser: Chromium through Selenium, without a network.

Looks at the book of the `tiny` run that the other tests build, or at the one that SSCNB_BOOK names (a folder with
`index.html`). Where there is no Chromium with its driver, these tests are skipped with a message.
"""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.slow

WIDE, NARROW = 1440, 390
TEX = re.compile(r"\$[^$\n]{1,200}\$|\\(?:frac|mathrm|bar|hat|sum|lVert|mathbb|times|beta|sigma|phi|ell)\b|\\[()\[\]]")
MARKDOWN = re.compile(r"^\s*\|.*\|\s*$|\*\*\w|\]\(|^\s*(?:```|:::)", re.MULTILINE)
PROBE = """
const images = [...document.images];
const text = document.querySelector("article, main, body").cloneNode(true);
text.querySelectorAll("pre, code, script, style, mjx-container, .sig").forEach((e) => e.remove());
return {
  scrolls: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  broken: images.filter((i) => i.complete && !i.naturalWidth && i.getAttribute("src")).map((i) => i.src),
  unnamed: images.filter((i) => !i.alt.trim()).map((i) => i.src.slice(-80)),
  asked: performance.getEntriesByType("resource").map((e) => e.name).filter((n) => n.startsWith("http")),
  text: text.textContent,
  theme: document.documentElement.dataset.theme,
};
"""
SETTLE = """
const done = arguments[arguments.length - 1];
const still = document.createElement("style");
still.textContent = "*, *::before, *::after { transition: none !important; animation: none !important; }";
document.head.append(still);
document.querySelectorAll("img").forEach((image) => { image.loading = "eager"; });
const images = [...document.images].map((image) => image.decode().catch(() => null));
const maths = window.MathJax && MathJax.startup ? MathJax.startup.promise : null;
Promise.all([maths, ...images]).then(() => requestAnimationFrame(() => done()));
"""
AXE = """
const done = arguments[arguments.length - 1];
const place = (node) => node.target.join(" ") + " " + node.html.slice(0, 120);
// Formulas are drawings of a thousand parts each; colours are looked at when they have stopped changing.
const page = { include: [["html"]], exclude: [["mjx-container"]] };
axe.run(page, { resultTypes: ["violations"], preload: false, ...arguments[0] }).then((result) => done(result.violations
  .filter((finding) => ["serious", "critical"].includes(finding.impact))
  .map((finding) => `${finding.id}: ${finding.nodes.slice(0, 3).map(place).join(" | ")}`)));
"""


@pytest.fixture(scope="module")
def html(request) -> Path:
    """The folder of the rendered book."""
    if "SSCNB_BOOK" in os.environ:
        return Path(os.environ["SSCNB_BOOK"]).resolve()
    return request.getfixturevalue("book")[0] / "build/html"


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="no Selenium here: pip install '.[test]'")
    names = ("chromium", "chromium-browser", "google-chrome")
    program, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no Chromium with its driver here; on Debian: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (
        "--headless=new",
        "--no-sandbox",  # as root, in containers
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",  # no network
    ):
        options.add_argument(argument)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    window.set_script_timeout(120)
    yield window
    window.quit()


def resize(browser, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def open_page(browser, path: Path, *, theme: str = "light", query: str = "") -> None:
    """Load a page and wait for its pictures and formulas."""
    resize(browser, WIDE)
    preference = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", preference)
    browser.get(path.as_uri() + query)
    browser.execute_async_script(SETTLE)


def pages_of(html: Path) -> list[Path]:
    """Return the pages of the table of contents."""
    aside = ("index.html", "search.html")  # a redirection, and the search's own test
    found = [*html.glob("*.html"), *html.glob("notebooks/*.html"), *html.glob("api/*.html")]
    return sorted(path for path in found if path.name not in aside)


@pytest.fixture(scope="module")
def looks(html, browser):
    """What was found on every page, by page and look."""
    axe = pytest.importorskip("axe_core_python").__path__[0]
    script = (Path(axe) / "axe.min.js").read_text(encoding="utf-8")
    found = {}
    for page in pages_of(html):
        for theme in ("light", "dark"):
            browser.get_log("browser")
            open_page(browser, page, theme=theme)
            for width in (WIDE, NARROW):
                resize(browser, width)
                look = browser.execute_script(PROBE)
                logged = browser.get_log("browser")
                look["console"] = [entry["message"] for entry in logged if entry["level"] == "SEVERE"]
                look["axe"] = []
                if width == WIDE:
                    # Nothing but colours differs in the dark theme.
                    rules = {"runOnly": ["color-contrast"]} if theme == "dark" else {}
                    browser.execute_script(script)
                    look["axe"] = browser.execute_async_script(AXE, rules)
                found[f"{page.relative_to(html)} at {width} px, {theme}"] = look
    assert len(found) >= 4 * 15
    return found


def gathered(looks, name) -> dict[str, list[str]]:
    return {where: look[name] for where, look in looks.items() if look[name]}


def test_pages_load_without_network_and_without_errors(looks):
    assert not gathered(looks, "asked")
    assert not gathered(looks, "console")


def test_both_themes_are_shown(looks):
    assert all(look["theme"] == where.rpartition(" ")[2] for where, look in looks.items())


def test_pictures_are_there_and_say_what_they_show(looks):
    assert not gathered(looks, "broken")
    assert not gathered(looks, "unnamed")


@pytest.mark.parametrize("markup", [TEX, MARKDOWN], ids=["TeX", "Markdown"])
def test_no_formula_and_no_table_is_left_as_source(looks, markup):
    left = {where: found for where, look in looks.items() if (found := markup.findall(look["text"]))}
    assert not left


def test_no_page_scrolls_sideways(looks):
    assert not {where: look["scrolls"] for where, look in looks.items() if look["scrolls"] > 0}


def test_axe_has_no_serious_finding(looks):
    assert not gathered(looks, "axe")


class _Page(HTMLParser):
    """Collects the links and anchors of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if values.get("id"):
            self.anchors.add(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])


def test_links_lead_somewhere(html):
    pages = {path.resolve(): _Page(path) for path in [*pages_of(html), html / "search.html"]}
    broken, checked = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("https", "http", "mailto"), f"{path.name}: {link}"
                assert parts.scheme == "mailto" or re.fullmatch(r"[\w.-]+\.\w+(:\d+)?", parts.netloc), link
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = target in pages and (not parts.fragment or unquote(parts.fragment) in pages[target].anchors)
            checked += 1
            if not known and not (target not in pages and target.is_file()):
                broken.append(f"{path.name}: {link}")
    assert checked > 100 and not broken


def test_search_finds_the_random_walk(html, browser):
    open_page(browser, html / "search.html", query="?q=random+walk")
    from selenium.webdriver.support.ui import WebDriverWait

    found = "return [...document.querySelectorAll('#search-results li a')].map((a) => a.getAttribute('href'))"
    for wanted in ("walk.html", "api/refinement.html#sscnb.refinement.random_walk"):
        # Results come one after the other, the best first.
        WebDriverWait(browser, 20).until(
            lambda window, part=wanted: any(part in link for link in window.execute_script(found))
        )


def set_slider(browser, label: str, value: float) -> None:
    browser.execute_script(
        """
        const labels = [...document.querySelectorAll(".controls label")];
        const slider = labels.find((label) => label.textContent.startsWith(arguments[0])).querySelector("input");
        slider.value = arguments[1];
        slider.dispatchEvent(new Event("input"));
        """,
        label,
        value,
    )


def test_threshold_slider_cuts_the_seed(html, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    open_page(browser, html / "try.html")
    data = browser.execute_script("return document.querySelector('.threshold-explorer script')?.textContent")
    if not data or not json.loads(data)["masks"]:
        pytest.skip("this book's run has no masks to compare with")
    wait = WebDriverWait(browser, 20)
    box = browser.find_element(By.CSS_SELECTOR, ".threshold-explorer")

    def told(start: str) -> list[float]:
        shown = wait.until(lambda _: (t := box.find_element(By.CSS_SELECTOR, ".status").text).startswith(start) and t)
        return [float(number) for number in re.findall(r"([\d.]+) %", shown)]

    set_slider(browser, "Threshold", 0)  # whatever is active: of these few steps' networks hardly the object
    wait.until(lambda _: told("This image")[0] > 0)
    assert told("This image")[3] > 0  # of all images
    set_slider(browser, "Threshold", 1)  # nothing exceeds 1: no seed, so no over-activation and nothing found
    wait.until(lambda _: told("This image")[:2] == [0, 100])
    assert told("This image")[3:] == [0, 100]
    slider = box.find_element(By.CSS_SELECTOR, "input[type=range]")
    slider.send_keys(Keys.ARROW_LEFT)
    wait.until(lambda _: box.find_element(By.TAG_NAME, "output").text == "0.99")


def test_walk_slider_changes_the_picture(html, browser):
    open_page(browser, html / "walk.html")
    steps = browser.execute_script("return document.querySelector('.walk-explorer')?.dataset.steps")
    if not steps:
        pytest.skip("this book's run has no pictures of the random walk")
    names = []
    for place in range(len(steps.split(","))):
        set_slider(browser, "Steps", place)
        names.append(browser.execute_script("return document.querySelector('.walk-explorer img').src"))
    assert [Path(name).stem for name in names] == [f"walk_{step}" for step in steps.split(",")]
    assert browser.execute_script("return document.querySelector('.walk-explorer img').alt").endswith("the random walk")


def test_tables_of_other_methods_can_be_sorted(html, browser):
    open_page(browser, html / "tables.html")
    column = """
        const table = document.querySelectorAll(".sortable table")[0];
        const heads = [...table.tHead.rows[0].cells];
        const place = heads.findIndex((h) => h.textContent.trim().startsWith(arguments[0]));
        heads[place].querySelector("button").click();
        const values = [...table.tBodies[0].rows].map((row) => row.cells[place].textContent.trim());
        return [heads[place].getAttribute("aria-sort"), values];
    """
    sort, values = browser.execute_script(column, "seed")
    assert sort == "descending" and [float(v) for v in values] == sorted(map(float, values), reverse=True)
    sort, values = browser.execute_script(column, "seed")
    assert sort == "ascending" and [float(v) for v in values] == sorted(map(float, values))
    sort, values = browser.execute_script(column, "method")
    assert sort == "ascending" and values == sorted(values, key=str.lower)

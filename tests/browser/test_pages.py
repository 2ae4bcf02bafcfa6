"""The report in a real browser: every page and figure is reached, read, and can be pointed at."""

import io
import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytestmark = pytest.mark.browser

STUDIES = ["glacier", "mwas", "satellite", "wind", "lecture"]
PHONE = {"viewport": {"width": 375, "height": 760}, "is_mobile": True, "has_touch": True}

IMAGES = """[...document.images].map((image) => {
  const box = image.getBoundingClientRect();
  return {
    source: image.getAttribute("src"), alt: image.alt, width: image.naturalWidth,
    box: [box.left + scrollX, box.top + scrollY, box.right + scrollX, box.bottom + scrollY],
  };
})"""

# Of all text that is seen, what stands out too little from what lies behind it: 4.5 to 1, or 3 to 1
# for large type (WCAG 2, level AA). Pictures are left out; their colours are the figures'.
FAINT = r"""() => {
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(one).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest("svg, script, noscript, option, .skip")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(channels(style.color).slice(0, 3)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (contrast < (large ? 3 : 4.5)) {
      faint.push(`${texts.currentNode.data.trim().slice(0, 40)}: ${contrast.toFixed(2)}`);
    }
  }
  return faint;
}"""

# What a screen reader would stumble over: names that are missing, ids twice, tables without heads.
UNNAMED = """() => {
  const wrong = [];
  const name = (one) => one.ariaLabel || one.textContent.trim() || one.title
    || [...(one.labels ?? [])].map((label) => label.textContent.trim()).join("");
  const all = (selector) => [...document.querySelectorAll(selector)];
  for (const one of all("a[href], button, select, input, [role=img], summary")) {
    if (!name(one)) wrong.push(`no name: ${one.outerHTML.slice(0, 90)}`);
  }
  for (const one of all("[role=region], nav, dialog")) {
    if (!one.ariaLabel) wrong.push(`no label: ${one.outerHTML.slice(0, 90)}`);
  }
  for (const one of all("table")) {
    if (!one.querySelector("th[scope]")) wrong.push("a table without heads");
    if (!one.caption?.textContent.trim()) wrong.push("a table without a caption");
  }
  const ids = all("[id]").map((one) => one.id);
  wrong.push(...ids.filter((id, k) => ids.indexOf(id) !== k).map((id) => `twice: ${id}`));
  if (!document.documentElement.lang || !document.title) wrong.push("no language or title");
  const levels = all("h1, h2, h3, h4").map((one) => Number(one.tagName[1]));
  levels.forEach((level, k) => {
    if (level > (levels[k - 1] ?? 0) + 1) wrong.push(`a level is skipped: ${levels}`);
  });
  return wrong;
}"""


def pages(site: Path) -> list[Path]:
    return sorted(site.glob("*.html"))


def photograph(page, **options) -> np.ndarray:
    """Return a screenshot, (y, x, 3)."""
    with Image.open(io.BytesIO(page.screenshot(**options))) as image:
        return np.asarray(image.convert("RGB"))


def assert_drawn(picture: np.ndarray, what: str) -> None:
    """It shows more than one colour, in more than a speck of it."""
    assert picture.size, what
    colours, counts = np.unique(picture @ np.array([1, 256, 65536]), return_counts=True)
    assert len(colours) > 8 and counts.max() < 0.995 * counts.sum(), what


def test_links_lead_to_every_page_and_figure(site, reader, finished):
    one = reader()
    page = one.open(site / "report.html")
    reached, waiting = {}, ["report.html"]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        if name != "report.html":
            page.click(f"header nav a[href='{name}']")
            page.wait_for_url(f"**/{name}")
            one.load_images()
        reached[name] = {image["source"] for image in page.evaluate(IMAGES)}
        for link in page.eval_on_selector_all("a[href]", "all => all.map((one) => one.href)"):
            address = urlsplit(link)
            target = Path(unquote(address.path))
            assert address.scheme == "file" and target.is_file(), (name, link)
            if target.suffix == ".html":
                waiting.append(target.name)
                if address.fragment and target.name == name:
                    assert page.locator(f"[id='{address.fragment}']").count() == 1, (name, link)
    assert set(reached) == {path.name for path in pages(site)}
    assert {f"{study}.html" for study in STUDIES} < set(reached)
    results = finished.folder / "results"
    drawn = {path.relative_to(results) for path in results.rglob("figures/*.svg")}
    assert len(drawn) > 45
    shown = set().union(*reached.values())
    assert {f"files/{path.as_posix()}" for path in drawn} == shown


def test_every_figure_has_words_and_shows_something(site, reader):
    one = reader(device_scale_factor=0.5)
    for path in pages(site):
        page = one.open(path)
        images = page.evaluate(IMAGES)
        assert bool(images) == (path.stem not in ("scores", "provenance")), path.name
        picture = photograph(page, full_page=True)
        assert_drawn(picture, path.name)
        for image in images:
            assert image["width"] > 0 and len(image["alt"]) > 25, image
            assert not re.search(r"[<{]|\.svg", image["alt"]), image
            left, top, right, bottom = (round(edge / 2) for edge in image["box"])
            assert_drawn(picture[top:bottom, left:right], f"{path.name}: {image['source']}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_by_day_and_night(site, reader, scheme):
    one = reader(color_scheme=scheme)
    backs = set()
    for path in pages(site):
        page = one.open(path)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.evaluate(FAINT) == [], path.name
        backs.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    (back,) = backs
    bright = sum(map(int, re.findall(r"\d+", back)[:3])) / 3
    assert bright > 200 if scheme == "light" else bright < 60


def test_a_phone_shows_everything_without_scrolling_sideways(site, reader):
    one = reader(**PHONE)
    for path in pages(site):
        page = one.open(path)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path.name
        size = page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
        assert size >= 16, path.name
    page = one.open(site / "mwas.html")
    table = page.locator("[id='mwas-simulated-scores-table']")
    heads = table.locator("th:visible").all_inner_texts()
    assert "metric" not in " ".join(heads) and "estimate" in " ".join(heads)
    table.get_by_label("metric").select_option("all")
    assert "metric" in " ".join(table.locator("th:visible").all_inner_texts())


def test_everything_has_a_name_for_those_who_do_not_see(site, reader):
    one = reader()
    for path in pages(site):
        assert one.open(path).evaluate(UNNAMED) == [], path.name


def test_the_first_page_tells_claim_finding_figure_and_limits(site, reader, finished):
    page = reader().open(site / "report.html")
    claims = page.locator("section.claim:has(.verdict)")
    assert claims.count() == len(STUDIES)
    for place, study in enumerate(STUDIES):
        claim = claims.nth(place)
        folder = finished.folder / "results" / study
        found = [*folder.glob("simulated/finding.txt"), *folder.glob("finding.txt")][0]
        assert claim.locator(".finding").inner_text() == found.read_text().splitlines()[0]
        assert claim.locator(".limits li").count() >= 2
        assert claim.locator("img").count() == 1
        assert "simulated data" in claim.inner_text()
    assert "All data of this run are simulated" in page.inner_text("[role=note]")


def test_without_scripts_words_figures_and_tables_remain(site, reader):
    page = reader(java_script_enabled=False).page
    page.goto((site / "glacier.html").as_uri())
    assert page.locator("tbody tr").first.is_visible() and page.locator("img").first.is_visible()
    assert page.locator(".table .controls").first.is_hidden()


def test_tables_sort_and_filter(site, reader, finished):
    page = reader().open(site / "scores.html")
    scores = {
        (study, path.parent.name): pd.read_csv(path)
        for study in STUDIES
        for path in (finished.folder / "results" / study).glob("*/scores.csv")
    }
    total = sum(map(len, scores.values()))
    count = page.locator(".count")
    assert count.inner_text() == f"{total} of {total} rows"

    page.get_by_label("study").select_option("glacier")
    page.get_by_label("metric").select_option("RMSE")
    page.get_by_label("scheme").select_option("loyo")
    table = scores["glacier", "simulated"].query("metric == 'rmse' and scheme == 'loyo'")
    assert count.inner_text() == f"{len(table)} of {total} rows"
    cells = page.locator("tbody tr:not([hidden]) td:nth-child(6)")
    heads = page.locator("thead th")
    names = [text.split()[0] for text in heads.all_inner_texts()]
    assert names[5] == "estimate"
    for direction, ascending in (("ascending", True), ("descending", False)):
        heads.nth(5).get_by_role("button").click()
        assert heads.nth(5).get_attribute("aria-sort") == direction
        values = [
            float(one) for one in cells.evaluate_all("all => all.map((c) => c.dataset.value)")
        ]
        assert values == table["estimate"].sort_values(ascending=ascending).tolist()
    page.get_by_label("search").fill("deep ensemble")
    assert count.inner_text() == f"1 of {total} rows"
    page.get_by_label("search").fill("nothing is called so")
    assert count.inner_text() == f"0 of {total} rows"

    # The head stays in sight while the rows scroll below it.
    page.get_by_label("search").fill("")
    page.get_by_label("scheme").select_option("")
    box = page.locator(".scroll")
    box.evaluate("(one) => one.scrollTo(0, 300)")
    assert box.evaluate("(one) => one.scrollTop") > 0
    assert abs(heads.nth(0).bounding_box()["y"] - box.bounding_box()["y"]) < 3


def test_a_study_compares_models_by_its_metric_first(site, reader):
    one = reader()
    for study, metric in (("glacier", "RMSE"), ("mwas", "AUC"), ("satellite", "R²")):
        page = one.open(site / f"{study}.html")
        table = page.locator(f"[id='{study}-simulated-scores-table']")
        assert table.get_by_label("metric").input_value() == metric


def test_the_map_tells_of_each_glacier_and_changes_its_colours(site, reader, finished):
    page = reader().open(site / "glacier.html")
    document = json.loads((finished.folder / "results/glacier/simulated/explore.json").read_text())
    stage = page.locator(".stage")
    points = stage.locator("circle")
    assert points.count() == len(document["names"])
    told = stage.locator(".told")
    points.nth(2).hover()
    first = told.inner_text()
    assert any(name in first for name in document["names"]) and "RMSE of lasso" in first
    points.first.focus()
    before = told.inner_text()
    page.keyboard.press("ArrowRight")
    assert told.inner_text() != before
    fills = "all => all.map((one) => one.getAttribute('fill'))"
    balance = points.evaluate_all(fills)
    stage.get_by_role("combobox", name="colour").select_option(index=1)
    assert points.evaluate_all(fills) != balance


def test_the_matrix_tells_the_interval_of_a_pair_of_cohorts(site, reader, finished):
    page = reader().open(site / "mwas.html")
    table = pd.read_parquet(finished.folder / "results/mwas/simulated/transfer.parquet")
    stage = page.locator(".stage")
    cells = stage.locator("td button")
    cohorts = sorted(table["train"].unique())
    assert cells.count() == len(cohorts) ** 2
    for place, model in enumerate(table["model"].unique()):
        stage.get_by_role("combobox", name="model").select_option(index=place)
        row = table[table["model"] == model].set_index(["train", "test"])
        pair = row.loc[(cohorts[0], cohorts[1])]
        assert cells.nth(1).inner_text() == f"{pair['auc']:.2f}"
        cells.nth(1).hover()
        told = stage.locator(".told").inner_text()
        assert cohorts[0] in told and cohorts[1] in told
        values = [
            float(text) for text in re.findall(r"AUC ([\d.]+) \[([\d.]+), ([\d.]+)\]", told)[0]
        ]
        assert values == pytest.approx(pair[["auc", "lower", "upper"]].tolist(), rel=6e-3)


PIXELS = "(canvas) => canvas.toDataURL()"


@pytest.mark.parametrize("study", ["satellite", "wind"])
def test_images_and_wind_cases_are_stepped_through_and_pointed_at(site, reader, finished, study):
    page = reader().open(site / f"{study}.html")
    path = finished.folder / f"results/{study}/simulated/explore.json"
    document = json.loads(path.read_text())
    stage = page.locator(".stage")
    canvases, told, output = (
        stage.locator("canvas"),
        stage.locator(".told"),
        stage.locator("output"),
    )
    assert canvases.count() == len(document["panels"])
    slider = stage.get_by_role("slider")

    seen = set()
    for place in range(1, len(document["cases"]) + 1):
        slider.fill(str(place))
        assert output.inner_text().endswith(document["cases"][place - 1])
        seen.add(canvases.first.evaluate(PIXELS))
    assert len(seen) == len(document["cases"])
    stage.get_by_role("button", name="previous").click()
    assert output.inner_text().endswith(document["cases"][-2])
    slider.press("ArrowRight")
    assert output.inner_text().endswith(document["cases"][-1])

    made = 1 if study == "satellite" else 2
    before = canvases.nth(made).evaluate(PIXELS)
    stage.get_by_role("combobox", name=document["choices"][-1]["name"]).select_option(index=1)
    assert canvases.nth(made).evaluate(PIXELS) != before

    minuend, subtrahend = document["panels"][-1]["minus"]
    box = canvases.first.bounding_box()
    told_of = 0
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        canvases.first.hover(position={"x": share * box["width"], "y": share * box["height"]})
        text = told.inner_text().replace("−", "-")
        assert text.startswith("Column")
        pattern = r"(\w[\w -]*?) (-?[\d.]+(?:e-?\d+)?) (?:sd|m|of inflow)"
        values = {name: float(value) for name, value in re.findall(pattern, text)}
        if {"difference", minuend, subtrahend} <= set(values):
            expected = values[minuend] - values[subtrahend]
            assert values["difference"] == pytest.approx(expected, abs=0.02)
            told_of += 1
    assert told_of


def test_a_figure_is_enlarged_and_put_away(site, reader):
    page = reader().open(site / "wind.html")
    page.locator(".paper").first.click()
    zoom = page.locator("dialog")
    assert zoom.is_visible() and zoom.locator("img").get_attribute("alt")
    page.keyboard.press("Escape")
    assert zoom.is_hidden()


def test_one_file_holds_all_of_it(finished, reader, tmp_path, site):
    path = tmp_path / "report.html"
    finished.run("--reporter", "casestudies", "--report-casestudies-path", str(path), "--nolock")
    assert path.stat().st_size < 15e6
    one = reader()
    page = one.open(path)
    images = page.evaluate(IMAGES)
    assert all(image["width"] > 0 and image["alt"] for image in images)
    in_zip = {
        source
        for file in pages(site)
        for source in re.findall(r'src="(files/[^"]+)', file.read_text())
    }
    assert len(in_zip) <= len(images)
    for link in page.locator("a").all():
        address = link.get_attribute("href")
        assert address.startswith("#"), address
        assert page.locator(f"[id='{address[1:]}']").count() == 1, address
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.locator(".stage").get_by_role("slider").first.press("ArrowRight")


def test_the_zip_is_small_enough_to_send(finished):
    assert (finished.folder / "results/report.zip").stat().st_size < 15e6

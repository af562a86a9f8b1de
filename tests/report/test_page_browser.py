"""The page in a real browser: loads from a file, says nothing to the console; slider, table and plot work."""

import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from fastssl.report.load import load_runs
from fastssl.report.page import write_page
from fastssl.report.statistics import at_budget
from fastssl.report.student import mean_and_halfwidth
from fastssl.telemetry.records import append_record

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    for name in ("chromium", "chromedriver"):
        assert shutil.which(name), f"{name} is missing; bash tools/browser.sh installs it"
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def records(write, fake):
    path = write(fake.campaign(seeds=3))
    for record in fake.run("simclr", 7, case={"run": HOSTILE, "protocol": HOSTILE}):
        append_record(path, record)
    return path


@pytest.fixture
def page(browser, records, tmp_path):
    """The browser with the page loaded, 1400 px wide; afterwards its console must be empty."""
    write_page([records], tmp_path / "page.html")
    size(browser, 1400)
    browser.get(f"file://{tmp_path}/page.html")
    yield browser
    assert browser.get_log("browser") == []
    entries = "return performance.getEntriesByType('resource').length"
    assert browser.execute_script(entries) == 0  # nothing was fetched


def size(browser, width, height=1200):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def rows(browser):
    cells = "return [...document.querySelectorAll('#table tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    return browser.execute_script(cells)


def slide(browser, share):
    browser.execute_script(
        "const s = document.getElementById('budget'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))",
        round(1000 * share),
    )


def test_slider_shows_each_arms_accuracy_by_then(page, records):
    frame = load_runs([records]).filter(load_runs([records])["protocol"] != HOSTILE)
    budget = 0.5 * frame["compute_h"].max()
    before = rows(page)
    slide(page, 0.5)
    after = {cells[0]: cells[2] for cells in rows(page)}
    arm = frame.filter(frame["method"] == "simclr")
    found = [at_budget(run, "compute_h", "ridge", budget) for run in arm.partition_by("run")]
    mean, half = mean_and_halfwidth([value for value in found if value is not None])
    name = next(name for name in after if name.startswith("SimCLR"))
    assert after[name].startswith(f"{100 * mean:.1f} ± {100 * half:.1f}")
    assert before != rows(page)
    slide(page, 0.01)  # before any probe
    assert {cells[2] for cells in rows(page) if "floor" not in cells[0]} == {"—"}


def test_table_sorts_by_click_and_by_key(page):
    numbers = lambda: [float(cells[3].split(" ")[0]) for cells in rows(page)]
    page.find_element(By.CSS_SELECTOR, 'th[data-key="knn"] button').click()
    assert numbers() == sorted(numbers(), reverse=True)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert numbers() == sorted(numbers())
    assert page.find_element(By.CSS_SELECTOR, 'th[data-key="knn"]').get_attribute("aria-sort") == "ascending"
    page.find_element(By.CSS_SELECTOR, 'th[data-key="name"] button').click()
    names = [cells[0].lower() for cells in rows(page)]
    assert names == sorted(names)


def test_methods_can_be_hidden_and_shown_alone(page):
    drawn = lambda: len(page.find_elements(By.CSS_SELECTOR, "#plot g.arm"))
    whole = drawn()
    assert whole == 6
    page.find_elements(By.CSS_SELECTOR, "#legend button")[0].click()
    assert drawn() == whole - 1
    page.switch_to.active_element.send_keys(Keys.SPACE)
    assert drawn() == whole
    ActionChains(page).double_click(page.find_elements(By.CSS_SELECTOR, "#legend button")[1]).perform()
    assert drawn() == 1


def test_hover_names_the_point(page):
    mark = page.find_element(By.CSS_SELECTOR, '#plot g.arm[data-arm^="SimCLR"] > :last-child')
    ActionChains(page).move_to_element(mark).perform()
    tip = page.find_element(By.ID, "tip")
    assert tip.is_displayed()
    assert "% ridge at" in tip.text
    assert "3 runs" in tip.text


def test_axes_probe_and_log_redraw(page):
    shapes = set()
    for selector in ('#axis [data-value="views"]', '#axis [data-value="epochs"]', '#probe [data-value="kNN"]', "#log"):
        page.find_element(By.CSS_SELECTOR, selector).click()
        shapes.add(page.find_element(By.CSS_SELECTOR, "#plot").get_attribute("innerHTML"))
    assert len(shapes) == 4


def test_groups_are_apart_and_hostile_names_stay_text(page):
    options = page.find_elements(By.CSS_SELECTOR, "#group option")
    assert len(options) == 2
    page.execute_script(
        "const g = document.getElementById('group'); g.value = '1'; g.dispatchEvent(new Event('change'))"
    )
    page.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    text = page.find_element(By.TAG_NAME, "body").text
    if HOSTILE not in text:
        page.execute_script(
            "const g = document.getElementById('group'); g.value = '0'; g.dispatchEvent(new Event('change'))"
        )
        text = page.find_element(By.TAG_NAME, "body").text
    assert HOSTILE in text
    assert page.find_elements(By.CSS_SELECTOR, "main img") == []


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_readable_at_both_widths_in_light_and_dark(page, width, dark):
    size(page, width)
    page.execute_script("dispatchEvent(new Event('resize')); document.querySelectorAll('details')[0].open = true")
    if dark:
        page.find_element(By.ID, "theme").click()
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    contrast = """
      const lum = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
          .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
          return .2126 * r + .7152 * g + .0722 * b; };
      const paper = lum(getComputedStyle(document.body).backgroundColor);
      const worst = [...document.querySelectorAll('p, h1, td, summary, #plot text')].filter((n) => n.textContent.trim())
          .map((n) => { const s = getComputedStyle(n); return lum(n.tagName === 'text' ? s.fill : s.color); })
          .map((l) => (Math.max(l, paper) + .05) / (Math.min(l, paper) + .05));
      return Math.min(...worst);"""
    assert page.execute_script(contrast) >= 4.0
    overlap = """
      const boxes = [...document.querySelectorAll('#plot text.label')].map((n) => n.getBoundingClientRect());
      return boxes.some((a, i) => boxes.some((b, j) => i < j && a.top < b.bottom - 3 && b.top < a.bottom - 3));"""
    assert not page.execute_script(overlap)


def test_a_card_opens_on_what_a_run_was(page):
    card = page.find_elements(By.CSS_SELECTOR, "details")[0]
    card.find_element(By.TAG_NAME, "summary").click()
    for heading in ("Clock", "Budget", "Environment", "Views"):
        assert heading in card.text
    assert "train" in card.text

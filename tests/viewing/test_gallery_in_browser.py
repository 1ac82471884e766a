"""Does the page of many runs say what its runs say together, and keep what one has chosen, in a real browser?"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.helpers.run_folders import make_run_folder
from tests.viewing.test_pages_in_browser import CHROMIUM, browser, get_points, open_page
from wn_rl.viewing.pages.gallery import write_gallery

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium, or set CHROMIUM")
__all__ = ["browser"]

SHIFTS = (0.0, 1.0, 5.0)
"""Of the returns of a group's three seeds, all else being equal."""
NUM_LONELY = 33
T975 = {3: 4.302653, 7: 2.446912, 40: 2.022691}
"""Student's t at 97.5 % for the mean of so many values, from a book's table."""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two games, two normalizers, three seeds of each; and one game of many runs."""
    folder = tmp_path_factory.mktemp("gallery")
    for game in ("Breakout", "Pong"):
        for normalizer, more in (("none", 0.0), ("weight_norm", 10.0)):
            for seed, shift in enumerate(SHIFTS):
                name = f"{game}-{normalizer}-{seed}"
                make_run_folder(folder / name, shift=shift + more, game=game, normalizer=normalizer, seed=seed)
    for number in range(NUM_LONELY):
        make_run_folder(folder / f"=many-{number:02d}", game="Seaquest", seed=number, num_evaluations=1)
    return write_gallery(folder, with_pages=False).page.as_uri()


@pytest.fixture
def page(gallery: str, browser: Any) -> Iterator[Any]:
    """The page without a choice; nothing may go wrong on it."""
    page, problems = open_page(browser, gallery)
    yield page
    assert problems == []
    page.close()


def choose(page: Any, words: str, **selects: str) -> None:
    """Tick the runs of a filter alone, and choose."""
    page.locator("#filter").fill(words)
    page.locator("#pick-none").click()
    page.locator("#pick-all").click()
    for name, value in selects.items():
        page.locator(f"#{name}").select_option(value)


def save(page: Any, name: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=name).first.click()
    return Path(download.value.path()).read_text()


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def compute_reach(values: np.ndarray) -> float:
    return T975[len(values)] * values.std(ddof=1) / np.sqrt(len(values))


def compute_middle_mean(scores: np.ndarray) -> float:
    return float(np.mean(sorted(scores)[len(scores) // 4 : len(scores) - len(scores) // 4]))


def test_statistics_are_those_of_the_book_and_of_a_bootstrap_by_hand(page: Any) -> None:
    rng = np.random.default_rng(0)
    for n in (3, 7, 40):
        values = rng.normal(5, 2, n)
        found = page.evaluate("computeMeanInterval", values.tolist())
        low, high = values.mean() - compute_reach(values), values.mean() + compute_reach(values)
        assert (found["mean"], found["low"], found["high"]) == pytest.approx((values.mean(), low, high), abs=2e-3)
        assert page.evaluate("computeIQM", values.tolist()) == pytest.approx(compute_middle_mean(values))
    assert page.evaluate("computeMeanInterval", [7.0, 7.0]) == {"mean": 7, "low": None, "high": None}

    games = [rng.normal(center, 1, 5) for center in (0, 10, 30, 80)]
    drawn = [np.concatenate([rng.choice(scores, len(scores)) for scores in games]) for _ in range(4000)]
    wanted = np.percentile([compute_middle_mean(scores) for scores in drawn], [2.5, 97.5])
    found = page.evaluate("computeIQMInterval", [scores.tolist() for scores in games])
    assert found["mean"] == pytest.approx(compute_middle_mean(np.concatenate(games)))
    width = wanted[1] - wanted[0]
    assert (found["low"], found["high"]) == pytest.approx(tuple(wanted), abs=0.1 * width)
    assert page.evaluate("computeIQMInterval", [[1, 2, 3], [4, 5]])["low"] is None


def test_groups_show_the_mean_and_interval_of_their_seeds_for_each_game(page: Any) -> None:
    choose(page, "-weight_norm-", curve="evaluation", group="normalizer")
    charts = page.locator("#overlay .chart").evaluate_all("all => all.map((one) => one.dataset.chart)")
    assert charts == ["Breakout", "Pong"]
    rows = read_csv(save(page, "Download Pong: Evaluation return as CSV"))
    last = np.array([22.0 + shift for shift in SHIFTS])
    low, high = last.mean() - compute_reach(last), last.mean() + compute_reach(last)
    assert len(rows) == 4
    assert rows[-1]["curve"] == "normalizer=weight_norm (3 runs)"
    values = [float(rows[-1][key]) for key in ("agent steps", "value", "interval_low", "interval_high")]
    assert values == pytest.approx([1_000_000, last.mean(), low, high], rel=1e-3)
    page.locator("#curve").select_option("iqm")
    rows = read_csv(save(page, "Download Human-normalized IQM over games as CSV"))
    scores = [100 * (last - 1.7) / 28.8, 100 * (last + 20.7) / 35.3]
    assert float(rows[-1]["value"]) == pytest.approx(compute_middle_mean(np.concatenate(scores)), rel=1e-3)
    page.locator("#curve").select_option("weights/conv1/v_norm_mean")
    assert page.locator("#overlay h3").first.text_content() == "Breakout: ‖v‖, mean: conv1"


def test_a_link_leads_to_what_was_chosen(page: Any, browser: Any) -> None:
    choose(page, "game=Pong seed<2", curve="train/loss", group="normalizer")
    page.get_by_role("button", name="Frames").click()
    page.get_by_role("button", name="Best").click()
    page.get_by_text("Columns").click()
    page.locator("#columns").get_by_text("Normalizer").click()
    other, problems = open_page(browser, page.evaluate("location.href"))
    for selector in ("#head", "#rows", "#overlay .legend", "#found"):
        assert other.locator(selector).inner_html() == page.locator(selector).inner_html()
    assert other.locator("#rows tr").count() == 4
    assert other.locator("#curve").input_value() == "train/loss"
    assert "frames" in other.locator("#overlay .plot svg").text_content()
    other.goto(page.evaluate("location.href") + "&run=9~nobody&curve=%3Cb%3E&range=x~y&sort=nothing&column=nothing")
    assert problems == []
    other.close()


def test_a_range_is_drawn_and_left_and_a_chart_is_saved_as_a_picture(page: Any) -> None:
    choose(page, "game=Pong -none-", curve="train/mean_return", group="")
    svg = page.locator("#overlay .plot svg")
    page.wait_for_selector("#overlay .curve")
    svg.scroll_into_view_if_needed()
    whole = get_points(page, "overlay", "Pong-none-0")
    box = svg.bounding_box()
    for move, share in (("move", 0.5), ("down", 0.5), ("move", 0.75), ("up", 0.75)):
        place = (box["x"] + 52 + share * (box["width"] - 66), box["y"] + 100)
        page.mouse.move(*place) if move == "move" else getattr(page.mouse, move)()
    zoomed = get_points(page, "overlay", "Pong-none-0")
    assert zoomed[99][0] - zoomed[0][0] == pytest.approx(4 * (whole[99][0] - whole[0][0]), rel=0.02)
    assert "range=" in page.evaluate("location.hash")
    page.get_by_role("button", name="Whole range").click()
    assert get_points(page, "overlay", "Pong-none-0") == whole
    picture = ElementTree.fromstring(save(page, "as SVG"))
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Training return", "Pong-none-0", "Pong-none-2"} <= set(texts)
    assert "var(" not in ElementTree.tostring(picture, "unicode")


def test_curves_that_nobody_tells_apart_are_gray_and_named_where_one_points(page: Any) -> None:
    choose(page, "seaquest", curve="train/mean_return", group="")
    curves = page.locator("#overlay .curve").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).stroke + one.getAttribute('stroke-dasharray'))"
    )
    assert len(curves) == len(set(curves)) == NUM_LONELY
    page.locator("#overlay .plot svg").press("ArrowRight")
    assert page.locator("#overlay .tooltip > span").count() == 8
    assert f"and {NUM_LONELY - 8} more curves" in page.locator("#overlay .tooltip").text_content()
    rows = read_csv(save(page, "Download the table as CSV"))
    assert rows[0]["name"].startswith("'=many-")  # which a spreadsheet would reckon with


def test_what_strangers_write_stays_text(tmp_path: Path, browser: Any) -> None:
    evil = "<img src=x onerror=alert(1)>"
    folder = make_run_folder(tmp_path / "runs" / evil, game=evil, normalizer=evil, preset=evil, evil=evil)
    make_run_folder(tmp_path / "runs" / "good", game="Pong")
    text = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(text.replace("weights/conv1/v_norm_mean", evil))
    page, problems = open_page(browser, write_gallery(tmp_path / "runs", with_pages=False).page.as_uri())
    choose(page, "", curve=evil, group="normalizer")
    page.locator("#overlay summary").first.click()
    assert page.locator("#rows tr").count() == 2
    assert page.locator("img, [onerror]").count() == 0
    assert problems == []
    page.close()


def test_no_column_is_cut_on_a_laptop(page: Any) -> None:
    width, room = page.locator("#runs").evaluate("table => [table.scrollWidth, table.parentElement.clientWidth]")
    assert width <= room


@pytest.mark.slow
def test_a_thousand_runs_open_in_three_seconds_and_five_megabytes(tmp_path: Path, browser: Any) -> None:
    for number in range(1000):
        game = ("Pong", "Breakout", "Seaquest")[number % 3]
        make_run_folder(tmp_path / f"run-{number:04d}", game=game, seed=number, learning_rate=1e-4 * (1 + number % 7))
    path = write_gallery(tmp_path, with_pages=False).page
    assert path.stat().st_size < 5_000_000
    page, problems = open_page(browser, path.as_uri())
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # of the processor: others may use it too
    page.reload()
    page.wait_for_selector(".chart .plot svg")
    measured = session.send("Performance.getMetrics")["metrics"]
    assert page.locator("#rows tr").count() == 1000
    assert 0 < {entry["name"]: entry["value"] for entry in measured}["TaskDuration"] < 3
    assert problems == []
    page.close()

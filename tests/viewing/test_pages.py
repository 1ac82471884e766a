"""Do pages say what a run's files say, whatever the files hold, and nothing else?"""

import gzip
import json
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.helpers.run_folders import ITERATION, make_evaluation, make_run_folder
from wn_rl import watch
from wn_rl.app import watch_pages as browsing
from wn_rl.app.command_line import CONFIG_DIRECTORY
from wn_rl.errors import ConfigurationError
from wn_rl.viewing.pages.curves import compute_hours, make_charts, make_training_series
from wn_rl.viewing.pages.formatting import (
    format_count,
    format_hours,
    format_number,
    format_percent,
    format_score,
    format_setting,
)
from wn_rl.viewing.pages.gallery import compare_settings, find_run_folders, render_gallery, write_gallery
from wn_rl.viewing.pages.gallery_run import (
    MAX_MAIN_VALUES,
    MAX_OTHER_VALUES,
    OTHER_METRICS,
    VALUES_PER_MAIN_POINT,
    Limits,
    describe_run,
    share_points,
)
from wn_rl.viewing.pages.run_page import render_run_page, write_run_page
from wn_rl.viewing.pages.run_reader import read_run_folder
from wn_rl.viewing.pages.server import make_page_server
from wn_rl.viewing.pages.templating import escape_json
from wn_rl.viewing.pages.video_files import find_videos, group_videos

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7777 * 7 }}"


class Page(HTMLParser):
    """Text, elements and data of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        inside = self.tags[-1][0] if self.tags else ""
        (self.scripts if inside == "script" else self.words).append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.scripts[0])


def touch_videos(folder: Path, *names: str) -> Path:
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "videos" / name).touch()
    return folder / "videos"


def test_a_page_shows_settings_evaluations_and_scores(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "first")
    page = Page(write_run_page(folder).read_text())
    for words in ("Pong", "first", "weight_norm", "machado", "250,000", "[10.5, 13.2]", "learning_rate", "0.0002",
                  "[0.9, 0.999]", "2.13.0", "1 M", "4 M frames", "93 %"):  # fmt: skip
        assert words in page.text
    rows = [tag for tag, _ in page.tags].count("tr")
    assert rows == 1 + 4


def test_nothing_says_where_a_run_lay_on_its_machine(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "somebody" / "run")
    assert "somebody" not in render_run_page(folder, live=False)


def test_curves_hold_the_numbers_of_the_files(tmp_path: Path) -> None:
    charts = {chart["id"]: chart for chart in make_charts(read_run_folder(make_run_folder(tmp_path / "run")))}
    evaluation, training = charts["learning"]["series"]
    assert evaluation["steps"] == [ITERATION, 2 * ITERATION, 3 * ITERATION, 4 * ITERATION]
    assert (evaluation["y"], evaluation["low"], evaluation["high"]) == (
        [-12.0, -4.0, 4.0, 12.0], [-13.5, -5.5, 2.5, 10.5], [-10.75, -2.75, 5.25, 13.25],
    )  # fmt: skip
    assert training["steps"][:2] == [10_000, 20_000]
    assert training["y"][:2] == [-19.7, -19.4]
    assert charts["human"]["series"][0]["y"] == pytest.approx(
        [100 * (mean + 20.7) / 35.3 for mean in (-12, -4, 4, 12)], rel=1e-5
    )
    assert charts["train/loss"]["series"][0]["y"][1] == 0.5
    weights = charts["weights/v_norm_mean"]["series"]
    assert [(series["name"], series["y"][0]) for series in weights] == [("conv1", 1.01), ("output", 2.02)]
    assert "train/updates" not in charts


def test_long_curves_are_thinned_to_means_of_neighbors() -> None:
    metrics = {"agent_steps": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "loss": [1.0, 3.0, None, 5.0, 9.0, 2.0]}
    series = make_training_series(metrics, "loss", "loss", max_points=3)
    assert series == {"name": "loss", "steps": [2, 5, 6], "y": [2.0, 7.0, 2.0]}


def test_hours_sum_chunks_at_their_own_speed_and_evaluations() -> None:
    metrics = {
        "agent_steps": [5000.0, 6000.0, 6000.0, 8000.0],
        "speed/agent_steps_per_second": [1000.0, 500.0, None, 100.0],
        "speed/evaluation_seconds": [None, None, 7.0, None],
    }
    # the first chunk's beginning is unknown: as long as the middle gap, of 1000 and 2000 the greater
    seconds = [2.0, 4.0, 31.0]
    hours = compute_hours(metrics)
    assert hours["steps"] == [5000, 6000, 8000]
    assert hours["hours"] == pytest.approx([second / 3600 for second in seconds], rel=1e-5)


@pytest.mark.parametrize("place", ["game", "normalizer", "key", "folder", "column", "protocol", "video", "commit"])
def test_nothing_in_a_file_becomes_markup_or_script(tmp_path: Path, place: str) -> None:
    name = HOSTILE.replace("/", "∕") if place == "folder" else "run"
    settings = {place: HOSTILE} if place in ("game", "normalizer") else {}
    folder = make_run_folder(tmp_path / "runs" / name, **settings)
    clean = len(Page(render_run_page(make_run_folder(tmp_path / "clean"), live=False)).tags)
    if place == "key":
        (folder / "config.yaml").write_text(json.dumps({HOSTILE: HOSTILE}))
    if place == "column":
        text = (folder / "metrics.csv").read_text()
        quoted = '"weights/' + HOSTILE.replace('"', '""') + '"'
        (folder / "metrics.csv").write_text(text.replace("weights/conv1/v_norm_mean", quoted))
    if place == "protocol":
        lines = json.dumps(make_evaluation(1, protocol=HOSTILE, source=HOSTILE)) + "\n"
        (folder / "evaluations.jsonl").write_text(lines)
    if place == "commit":
        (folder / "provenance.json").write_text(json.dumps({"commit": HOSTILE}))
    if place == "video":
        touch_videos(folder, HOSTILE.replace("/", "∕") + ".mp4")
    for text in (render_run_page(folder, live=True), render_gallery(tmp_path / "runs", live=True)):
        page = Page(text)
        assert [tag for tag, _ in page.tags].count("script") == 2
        assert not any("onerror" in attributes for _, attributes in page.tags)
        assert not any(attributes.get("src") == "x" for _, attributes in page.tags)
        assert all(tag != "img" or attributes.get("class") == "thumb" for tag, attributes in page.tags)
        assert page.data
        assert str(7777 * 7) not in text
    assert clean > 100


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "runs" / "a")
    touch_videos(folder, "000250000--12.mp4", "000250000--12.png", "best-3.mp4")
    for text in (render_run_page(folder, live=False), render_gallery(tmp_path / "runs", live=False)):
        page = Page(text)
        links = [
            attributes[key] for _, attributes in page.tags for key in ("src", "href", "poster") if key in attributes
        ]
        assert links
        assert all(re.match(r"(videos/|\./|data:|#)", link or "") for link in links), links
        assert "default-src 'none'" in text
        assert "@import" not in text
        assert "http://" not in text.replace("http://www.w3.org/", "")
        assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("metrics.csv", None, None),
        ("metrics.csv", "", None),
        ("metrics.csv", "agent_steps,train/loss\n", None),
        ("metrics.csv", "agent_steps,train/loss\n10,0.5\n20,0.4\n30,0.", None),
        ("metrics.csv", "agent_steps,train/loss\n10,0.5\n2\n30,nan\n40,inf\n", "1 torn rows"),
        ("metrics.csv", "\0\1\2,,,\n\xff\n", None),
        ("evaluations.jsonl", None, None),
        ("evaluations.jsonl", '{"game": "Po', "1 torn lines"),
        ("evaluations.jsonl", '{"mean": NaN, "agent_steps": 5}\n[]\n7\n{"mean": 2, "agent_steps": 5}', "3 torn lines"),
        ("config.yaml", None, None),
        ("config.yaml", "game: [", "config.yaml cannot be read"),
        ("config.yaml", "- 1\n- 2\n", "it holds no settings"),
        ("config.yaml", "game: ${nothing}\n", "config.yaml cannot be read"),
        ("config.yaml", "total_agent_steps: many\nvideo: {max_seconds: null}\n", None),
        ("provenance.json", "{", "provenance.json cannot be read"),
        ("provenance.json", "[]", None),
    ],
)  # fmt: skip
def test_a_damaged_file_costs_its_own_part_of_the_page_alone(
    tmp_path: Path, name: str, content: str | None, told: str | None
) -> None:
    folder = make_run_folder(tmp_path / "runs" / "run")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    page = Page(render_run_page(folder, live=False))
    json.dumps(page.data, allow_nan=False)
    if told is None:
        assert "cannot be read" not in page.text
        assert "torn" not in page.text
    else:
        assert told in page.text
    assert Page(render_gallery(tmp_path / "runs", live=False)).data["runs"]
    ids = {chart["id"] for chart in page.data["charts"]}
    assert ("weights/v_norm_mean" in ids) == (name != "metrics.csv")
    assert "learning" in ids  # of what is left, training's returns or the evaluations


def test_a_last_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    (folder / "metrics.csv").write_text("agent_steps,train/loss\n10,0.5\n20,0.4\n30,0.1")
    assert read_run_folder(folder).metrics == {"agent_steps": [10, 20], "train/loss": [0.5, 0.4]}


def test_videos_are_grouped_by_what_their_names_say(tmp_path: Path) -> None:
    names = ["000250000--21.mp4", "001000000-18.5.mp4", "001000000-best-21.mp4", "001000000-worst-3.mp4",
             "000250000-best--2.mp4", "best-20.mp4", "worst--1.mp4", "my own.mp4", ".y.mp4"]  # fmt: skip
    groups = group_videos(find_videos(touch_videos(tmp_path, *names, "best-20.png")))
    assert [(video.agent_steps, video.episode_return) for video in groups.stages] == [
        (250_000, -21.0),
        (1_000_000, 18.5),
    ]
    assert [video.path.name for video in groups.newest] == [names[2], names[1], names[3]]
    assert [(video.rank, video.episode_return) for video in groups.played] == [("best", 20.0), ("worst", -1.0)]
    assert groups.played[0].poster_url == "videos/best-20.png"
    assert [video.url for video in groups.others] == ["videos/000250000-best--2.mp4", "videos/my%20own.mp4"]
    assert find_videos(tmp_path / "nothing") == []


def test_settings_that_differ_are_told_from_those_that_all_have() -> None:
    settings = [{"seed": "0", "lr": "0.001", "same": "true"}, {"seed": "1", "lr": "0.001", "same": "true"},
                {"seed": "2", "lr": "0.0001", "same": "true", "new": "null"}]  # fmt: skip
    assert compare_settings(settings) == [
        {"key": "seed", "texts": ["0", "1", "2"], "of": [0, 1, 2]},
        {"key": "lr", "texts": ["0.001", "0.0001"], "of": [0, 0, 1]},
        {"key": "new", "texts": ["null"], "of": [-1, -1, 0]},
    ]


def test_a_gallery_finds_runs_below_and_leads_to_their_pages(tmp_path: Path) -> None:
    make_run_folder(tmp_path / "Pong" / "one")
    make_run_folder(tmp_path / "sweeps" / "today" / "a b#?%")
    (tmp_path / "Pong" / "one" / "deeper").mkdir()
    (tmp_path / "Pong" / "one" / "deeper" / "config.yaml").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "config.yaml").touch()
    assert [path.name for path in find_run_folders(tmp_path)] == ["one", "a b#?%"]
    written = write_gallery(tmp_path, with_pages=True)
    assert written[1:] == (2, 0)
    assert sorted(run["url"] for run in Page(written.page.read_text()).data["runs"]) == [
        "./Pong/one/index.html",
        "./sweeps/today/a%20b%23%3F%25/index.html",
    ]
    assert (tmp_path / "sweeps" / "today" / "a b#?%" / "index.html").is_file()
    with pytest.raises(ConfigurationError, match="no run in it"):
        find_run_folders(tmp_path / "Pong" / "one" / "videos")


def test_an_index_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    (folder / "index.html").write_text("<h1>mine</h1>")
    with pytest.raises(ConfigurationError, match="left alone"):
        write_run_page(folder)
    assert (folder / "index.html").read_text() == "<h1>mine</h1>"
    (folder / "index.html").unlink()
    write_run_page(folder)
    write_run_page(folder)


def test_data_that_json_does_not_know_is_refused() -> None:
    assert escape_json({"a": "</script>&"}) == '{"a":"\\u003c/script\\u003e\\u0026"}'
    with pytest.raises(ValueError, match="JSON compliant"):
        escape_json({"a": float("nan")})


def test_numbers_are_written_to_be_read() -> None:
    numbers = (None, 0, -21.0, 1234567, 12.3456, -0.01174, 0.00012)
    assert [format_number(value) for value in numbers] == [
        "–",
        "0",
        "−21",
        "1,234,567",
        "12.35",
        "−0.01174",
        "1.20e-04",
    ]
    scores = (None, 8.0, -20.37, -0.01, 999.97, -1234.5)
    assert [format_score(value) for value in scores] == ["–", "8.0", "−20.4", "0.0", "1,000", "−1,234"]
    assert [format_count(value) for value in (None, 950, 12_500, 1_250_000)] == ["–", "950", "12.5 k", "1.25 M"]
    assert [format_percent(value) for value in (None, 0.1234, -0.0085, 11.5)] == ["–", "12 %", "−0.9 %", "1,150 %"]
    assert [format_hours(value) for value in (None, 0.01, 0.5, 2.34)] == ["–", "36 s", "30 min", "2.3 h"]
    settings = (None, True, 1000, 12_500_000, 6.25e-5, [1, None])
    assert [format_setting(value) for value in settings] == [
        "null",
        "true",
        "1000",
        "12_500_000",
        "6.25e-05",
        "[1, null]",
    ]


def configure(**changes: Any) -> Any:
    config = OmegaConf.load(CONFIG_DIRECTORY / "watch.yaml")
    return OmegaConf.merge(config, changes)


def test_watch_writes_a_page_for_a_run_and_a_gallery_for_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run_folder(tmp_path / "runs" / "one")
    watch.main(configure(run=str(folder)))
    watch.main(configure(run=str(tmp_path / "runs")))
    told = capsys.readouterr()
    assert told.err == f"{tmp_path / 'runs'}: 1 run\n"
    assert told.out.split() == [str(folder / "index.html"), str(tmp_path / "runs" / "index.html")]
    assert "1 run" in Page((tmp_path / "runs" / "index.html").read_text()).text


def test_a_gallery_tells_of_the_links_that_it_does_not_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run_folder(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "linked").symlink_to(make_run_folder(tmp_path / "two"))
    watch.main(configure(run=str(tmp_path / "runs")))
    told = capsys.readouterr().err.splitlines()[0]
    assert told == f"warning: {tmp_path / 'runs' / 'linked'} is a link, which no gallery follows; move the run here"


def test_the_pages_of_runs_below_are_written_where_asked_for_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [make_run_folder(tmp_path / "runs" / name) for name in ("one", "two")]
    for pages in (False, True):
        watch.main(configure(run=str(tmp_path / "runs"), pages=pages))
        told = capsys.readouterr().err
        assert told.startswith(f"{tmp_path / 'runs'}: 2 runs")
        assert ("2 of them without a page of their own: pages=true writes it" in told) != pages
        assert [(folder / "index.html").is_file() for folder in folders] == [pages] * 2
        urls = {run["name"]: run["url"] for run in Page((tmp_path / "runs" / "index.html").read_text()).data["runs"]}
        assert urls == {name: f"./{name}/index.html" if pages else None for name in ("one", "two")}


def test_a_gallery_begins_with_the_newest_run(tmp_path: Path) -> None:
    for number, name in enumerate(["b", "c", "a"]):
        os.utime(make_run_folder(tmp_path / name) / "metrics.csv", (1e9 + number,) * 2)
    runs = Page(render_gallery(tmp_path, live=False)).data["runs"]
    assert [run["name"] for run in runs] == ["a", "c", "b"]


@pytest.mark.parametrize("episodes", [2, 4, 5, None])
def test_the_interval_of_a_few_games_is_not_shown(tmp_path: Path, episodes: int | None) -> None:
    folder = make_run_folder(tmp_path / "runs" / "run")
    row = make_evaluation(1, episodes=episodes, mean=7.0, ci95_low=7.0, ci95_high=7.5)
    (folder / "evaluations.jsonl").write_text(json.dumps(row) + "\n")
    is_shown = episodes is None or episodes >= 5
    page = Page(render_run_page(folder, live=False))
    assert ("[7.0, 7.5]" in page.text) == is_shown
    series = page.data["charts"][0]["series"][0]
    assert (series["y"], series["low"], series["high"]) == ([7.0], *(([7.0], [7.5]) if is_shown else ([None], [None])))
    run = Page(render_gallery(tmp_path / "runs", live=False)).data["runs"][0]
    assert run["cells"][1] == [7.0, "7.0", "[7.0, 7.5]" if is_shown else f"of {episodes}"]
    assert run["evaluation"]["low"] == ([7] if is_shown else [None])


def test_the_more_runs_the_fewer_points_each_has() -> None:
    assert share_points(1) == [(250, 250)]
    for num_runs in (40, 300, 1000):
        limits = share_points(num_runs)
        assert sum(VALUES_PER_MAIN_POINT * limit.main for limit in limits) <= MAX_MAIN_VALUES
        assert sum(OTHER_METRICS * limit.other for limit in limits) <= MAX_OTHER_VALUES
        assert all(limit.main >= 16 for limit in limits)
        assert limits[0].other >= 16  # the newest has every metric
        assert limits == sorted(limits, reverse=True)


def test_a_run_of_many_metrics_takes_no_more_room_than_others(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    names = [f"m{number}" for number in range(900)]
    lines = [",".join(["agent_steps", *names])]
    lines += [",".join([str(step), *(f"{step / 7 + number:.6g}" for number in range(900))]) for step in range(1, 60)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    assert len(describe_run(folder, "run", (), Limits(31, 31), (), False).data) < 50_000


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"run": "nowhere"}, "no such folder"), ({"run": "."}, "no run in it"), ({}, "agent is missing"),
     ({"run": ".", "agent": "a"}, "give one of them"), ({"run": ".", "pages": "all"}, "pages=all")],
)  # fmt: skip
def test_what_cannot_be_shown_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=told) as caught:
        watch.main(configure(**changes))
    assert "\n" not in str(caught.value)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = make_run_folder(tmp_path / "runs" / "one")
    (folder / "videos").mkdir()
    (folder / "videos" / "best-1.mp4").write_bytes(bytes(range(100)))
    server, address = make_page_server(tmp_path / "runs", "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, address.removesuffix("/")
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_served_page_is_made_anew_and_videos_come_in_parts(served: tuple[Path, str]) -> None:
    folder, address = served
    assert b"refresh-seconds" in fetch(address + "/")[1]
    assert b"No evaluation yet" not in fetch(address + "/one/index.html")[1]
    (folder / "evaluations.jsonl").unlink()
    assert b"No evaluation yet" in fetch(address + "/one/index.html")[1]
    assert fetch(address + "/one/videos/best-1.mp4", Range="bytes=10-19") == (206, bytes(range(10, 20)))
    assert not (folder / "index.html").exists()


def test_a_served_page_is_made_anew_when_a_file_has_changed_and_not_before(served: tuple[Path, str]) -> None:
    folder, address = served
    other = make_run_folder(folder.parent / "other")
    request = urllib.request.Request(address + "/", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        tag, page = answer.headers["ETag"], gzip.decompress(answer.read())
    assert page == fetch(address + "/")[1]  # as it is for who cannot unpack it
    num_read = describe_run.cache_info().misses
    assert fetch(address + "/", **{"If-None-Match": tag}) == (304, b"")
    assert describe_run.cache_info().misses == num_read
    with (other / "evaluations.jsonl").open("a") as file:
        file.write(json.dumps(make_evaluation(5)) + "\n")
    status, fresh = fetch(address + "/", **{"If-None-Match": tag})
    assert status == 200
    assert (b"[18.5, 21.2]" in page, b"[18.5, 21.2]" in fresh) == (False, True)
    assert describe_run.cache_info().misses == num_read + 1  # the other run was not read again


def test_a_run_without_its_slash_is_shown_with_its_videos(served: tuple[Path, str]) -> None:
    _, address = served
    with urllib.request.urlopen(address + "/one", timeout=20) as answer:
        assert answer.url == address + "/one/"  # what the page names is looked for below it


def test_the_server_gives_pages_and_videos_and_nothing_else(served: tuple[Path, str]) -> None:
    folder, address = served
    (folder.parent.parent / "secret.png").touch()
    for path in (
        "/one/config.yaml",
        "/../secret.png",
        "/%2e%2e/secret.png",
        "/one/videos",
        "/nothing.mp4",
        "//etc/x.png",
        "/" + "x" * 300,
        "/" + "x/" * 5000,
        "/x%00.png",
    ):
        assert fetch(address + path)[0] == 404, path
    assert fetch(address + "/", Host="evil.example")[0] == 400


def test_the_server_follows_no_link_out_of_its_folder(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.mp4").write_bytes(b"secret")
    (folder / "videos" / "x.png").symlink_to(tmp_path / "secret.png")
    (folder / "deeper").symlink_to(tmp_path / "elsewhere")
    (folder / "again.mp4").symlink_to("videos/best-1.mp4")
    assert fetch(address + "/one/videos/x.png")[0] == 404
    assert fetch(address + "/one/deeper/secret.mp4")[0] == 404
    assert fetch(address + "/one/again.mp4") == (200, bytes(range(100)))


def test_the_server_answers_who_has_the_address_and_only_reads(served: tuple[Path, str]) -> None:
    _, address = served
    root, _, secret = address.rpartition("/")
    for path in ("/", "/one/", "/one/videos/best-1.mp4", f"/{secret[:-1]}/", "/x/"):
        assert fetch(root + path)[0] == 404
    assert fetch(address)[0] == 200  # without its last slash
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        request = urllib.request.Request(address + "/", method=method)
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request, timeout=20)


def test_an_open_server_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    folder = make_run_folder(tmp_path / "run")
    monkeypatch.setattr("werkzeug.serving.BaseWSGIServer.serve_forever", lambda server: None)
    for host in ("127.0.0.1", "0.0.0.0"):
        browsing.show_pages(configure(run=str(folder), serve=True, host=host, port=0))
        told = capsys.readouterr()
        assert told.out.startswith(f"http://{host}:")
        assert ("from other machines" in told.err) == (host == "0.0.0.0")


def test_a_port_in_use_is_told_in_one_line(served: tuple[Path, str], capfd: pytest.CaptureFixture[str]) -> None:
    folder, address = served
    with pytest.raises(ConfigurationError, match="is taken"):
        browsing.show_pages(configure(run=str(folder), serve=True, port=urllib.parse.urlparse(address).port))
    with pytest.raises(ConfigurationError, match="from 0 to 65535"):
        browsing.show_pages(configure(run=str(folder), serve=True, port=70_000))
    assert capfd.readouterr() == ("", "")

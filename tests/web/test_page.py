"""The page in a real browser, whose microphone is a file."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.web.javascript import WEB, needs_vendored
from tests.web.models import OTHER_HZ, PHRASE, TONE_HZ, tone, tone_detector
from wakeword.runtime.detector import Detection, Detector

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
SETTLED_S = 0.06  # a browser's resampling and the file's start may move an event by some frames

pytestmark = [
    needs_vendored,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="Chromium and its driver (chromedriver) are not installed"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a copy of the page, with models beside it, on this machine alone."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(WEB, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "whistle.onnx").write_bytes(tone_detector())
    (folder / "broken.onnx").write_bytes(tone_detector()[:5000])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what the browser hears: another tone, then twice the one that the model knows."""
    quiet = np.zeros(8000, dtype=np.float32)
    parts = [quiet, tone(OTHER_HZ, 0.4), quiet, tone(TONE_HZ, 0.4), quiet, quiet, tone(TONE_HZ, 0.4), quiet]
    path = tmp_path_factory.mktemp("sound") / "microphone.wav"
    soundfile.write(path, np.concatenate(parts), 16_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def expected(microphone: Path) -> list[Detection]:
    """Return what the Python runtime detects in it."""
    found = Detector(tone_detector()).process(soundfile.read(microphone, dtype="float32")[0])
    assert len(found) == 2
    return found


@pytest.fixture(scope="module")
def browser(microphone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=str(DRIVER)))
    yield driver
    driver.quit()


def wait(browser: Chrome, condition: Callable[[Chrome], object], seconds: float = 30.0) -> None:
    WebDriverWait(browser, seconds, poll_frequency=0.1).until(condition)


def text(browser: Chrome, id_: str) -> str:
    return browser.find_element(By.ID, id_).text


def opened(browser: Chrome, address: str) -> None:
    browser.get(address)
    wait(browser, lambda page: text(page, "status") == "Ready." or text(page, "problem"))


def heard(browser: Chrome) -> list[dict[str, str]]:
    """Return the detections that the page shows, oldest first."""
    items = browser.find_elements(By.CSS_SELECTOR, "#detections li")
    return [item.get_property("dataset") for item in reversed(items)]


def listen(browser: Chrome, detections: int) -> list[dict[str, str]]:
    browser.find_element(By.ID, "listen").click()
    wait(browser, lambda page: text(page, "status").startswith("Listening") or text(page, "problem"))
    wait(browser, lambda page: len(heard(page)) >= detections or text(page, "problem"))
    assert text(browser, "problem") == ""
    assert text(browser, "status").startswith("Listening")
    return heard(browser)


def is_as_expected(found: list[dict[str, str]], expected: list[Detection]) -> None:
    assert [one["phrase"] for one in found] == [PHRASE, PHRASE]
    apart = float(found[1]["timeS"]) - float(found[0]["timeS"])
    assert apart == pytest.approx(expected[1].time_s - expected[0].time_s, abs=SETTLED_S)
    assert min(float(one["score"]) for one in found) >= 0.7


def shoot(browser: Chrome, name: str) -> None:
    """Keep a picture of the page for whoever wants to look at it: set WAKEWORD_SCREENSHOTS to a folder."""
    if folder := os.environ.get("WAKEWORD_SCREENSHOTS"):
        for width, kind in ((1000, "desktop"), (390, "phone")):
            browser.set_window_size(width, 1100)
            browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
            browser.save_screenshot(str(Path(folder) / f"{name}-{kind}.png"))


def test_what_the_microphone_hears_appears_in_the_page(browser: Chrome, site: str, expected: list[Detection]) -> None:
    opened(browser, f"{site}?model=whistle.onnx")
    assert text(browser, "problem") == ""
    measured = "1.3 % [0.2, 6.7] of 80 missed; 0.50 [0.01, 2.89] false alarms an hour in 1.9 h"
    assert f"“{PHRASE}”\n{measured}" in text(browser, "model-facts")
    is_as_expected(listen(browser, 2), expected)
    level = browser.find_element(By.ID, "level").get_attribute("aria-valuenow")
    assert level is not None and -60 <= float(level) <= 0
    shoot(browser, "listening")
    browser.find_element(By.ID, "listen").click()
    wait(browser, lambda page: text(page, "status") == "Ready.")
    browser.find_element(By.ID, "clear").click()
    assert heard(browser) == [] and browser.find_element(By.ID, "nothing").is_displayed()
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []


def test_a_browser_that_keeps_its_own_sample_rate_is_resampled(
    browser: Chrome, site: str, expected: list[Detection]
) -> None:
    # What Firefox does with a microphone whose rate is not the context's.
    stubborn = """
        const connect = AudioContext.prototype.createMediaStreamSource;
        AudioContext.prototype.createMediaStreamSource = function (stream) {
          if (this.sampleRate === 16000) throw new DOMException("another sample rate", "NotSupportedError");
          window.rate = this.sampleRate;
          return connect.call(this, stream);
        };"""
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": stubborn})
    opened(browser, f"{site}?model=whistle.onnx")
    is_as_expected(listen(browser, 2), expected)
    assert browser.execute_script("return window.rate") in (44_100, 48_000)
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_nothing_can_be_started_before_the_last_stop_has_ended(browser: Chrome, site: str) -> None:
    slow = """
        const close = AudioContext.prototype.close;
        AudioContext.prototype.close = async function () {
          await new Promise((resolve) => { window.letItClose = resolve; });
          return close.call(this);
        };"""
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": slow})
    opened(browser, f"{site}?model=whistle.onnx")
    listen(browser, 0)
    button, chooser = (browser.find_element(By.ID, name) for name in ("listen", "file"))
    button.click()
    assert not button.is_enabled() and not chooser.is_enabled() and text(browser, "status") == "Stopping …"
    browser.execute_script("document.getElementById('listen').click(); window.letItClose()")
    wait(browser, lambda page: text(page, "status") == "Ready.")
    assert button.text == "Start" and button.is_enabled() and chooser.is_enabled()
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert len(listen(browser, 1)) >= 1


def test_a_chosen_file_is_loaded_and_a_broken_one_refused(browser: Chrome, site: str, tmp_path: Path) -> None:
    browser.get(site)
    button = browser.find_element(By.ID, "listen")
    assert not button.is_enabled() and text(browser, "status") == "Choose a model first."
    shoot(browser, "empty")
    good, bad = tmp_path / "mine.onnx", tmp_path / "bad.onnx"
    good.write_bytes(tone_detector())
    bad.write_bytes(b"<html>not found</html>")
    chooser = browser.find_element(By.ID, "file")
    chooser.send_keys(str(bad))
    wait(browser, lambda page: "no ONNX file" in text(page, "problem"))
    assert not button.is_enabled()
    chooser.send_keys(str(good))
    wait(browser, lambda page: text(page, "status") == "Ready.")
    assert text(browser, "problem") == "" and text(browser, "model-name") == "mine.onnx" and button.is_enabled()


def test_another_model_can_be_chosen_while_listening(browser: Chrome, site: str, tmp_path: Path) -> None:
    opened(browser, f"{site}?model=whistle.onnx")
    listen(browser, 0)
    (tmp_path / "other.onnx").write_bytes(tone_detector())
    browser.find_element(By.ID, "file").send_keys(str(tmp_path / "other.onnx"))
    wait(browser, lambda page: text(page, "model-name") == "other.onnx" and text(page, "status") == "Ready.")
    assert browser.find_element(By.ID, "listen").text == "Start"
    assert len(listen(browser, 1)) >= 1


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("broken.onnx", "only a part of one"),
        ("none.onnx", "404"),
        ("http://127.0.0.1:9/other.onnx", "must be on this page's own server"),
    ],
)
def test_an_address_that_gives_no_model_is_named(browser: Chrome, site: str, address: str, problem: str) -> None:
    opened(browser, f"{site}?model={address}")
    assert problem in text(browser, "problem")
    assert not browser.find_element(By.ID, "listen").is_enabled()

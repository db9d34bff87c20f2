"""With a live kernel: JupyterLab on loopback, the first chapter, a slider, another figure."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STARTED = re.compile(r"\[(\*|\d+)\]")  # the prompt of a cell that a kernel has taken
CHAPTER = Path(__file__).resolve().parents[2] / "book" / "intuition" / "why_binary.ipynb"
# Its first picture is drawn by Python; this one the browser computes.
COMPUTED = nbformat.v4.new_notebook(
    cells=[
        nbformat.v4.new_code_cell(
            "from bopkit.book import widgets\n\nwidgets.explore('derivation')", id="computed"
        )
    ],
    metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab that shows a copy of the chapter: running it must not change ours."""
    tmp_path = tmp_path_factory.mktemp("lab")
    shutil.copy(CHAPTER, tmp_path)
    nbformat.write(COMPUTED, tmp_path / "computed.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": tmp_path,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
        "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())],
            env={**os.environ, **own},
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5)
                break
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    pytest.fail((tmp_path / "lab.log").read_text()[-2000:])
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def run_first_cell(lab, browser, notebook):
    """The first cell of a notebook, running or run by its kernel."""
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    # A workspace of its own: in a shared one JupyterLab may bring back the tab of the test before,
    # and its idle kernel would be taken for this notebook's.
    page.goto(f"{lab}/lab/workspaces/{notebook.split('.')[0]}/tree/{notebook}")
    first_code = page.locator(".jp-Notebook .jp-CodeCell").first
    first_code.locator(".cm-content").wait_for(timeout=60_000)
    page.locator(".jp-NotebookPanel-toolbar [data-status=idle]").first.wait_for(timeout=60_000)
    # JupyterLab drops the key while the kernel's connection is being made, without a word.
    for _ in range(12):
        first_code.locator(".cm-content").click(timeout=60_000)
        page.keyboard.press("Shift+Enter")
        try:
            expect(first_code.locator(".jp-InputPrompt")).to_have_text(STARTED, timeout=5_000)
            return page, first_code
        except AssertionError:
            continue
    pytest.fail(f"JupyterLab ran no cell of {notebook}; it shows: {page.inner_text('body')[:2000]}")


def test_a_slider_draws_another_figure(lab, browser):
    page, first_code = run_first_cell(lab, browser, CHAPTER.name)
    picture = first_code.locator(".widget-html svg")
    picture.wait_for(timeout=60_000)
    before = first_code.locator(".widget-html").inner_text(), picture.inner_html()
    assert "agree in 8 of 12 places" in before[0]

    handle = first_code.locator(".widget-slider .noUi-handle").first
    handle.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "before => document.querySelector('.widget-html')?.innerText !== before",
        arg=before[0],
        timeout=60_000,
    )
    assert picture.inner_html() != before[1]
    page.context.close()


def test_the_browser_computes_a_picture_beside_a_kernel_too(lab, browser):
    page, first_code = run_first_cell(lab, browser, "computed.ipynb")
    says = first_code.locator(".bop-explorer .bop-says")
    step = first_code.get_by_text("2. leak")
    step.click(timeout=60_000)
    assert "loses the share λ = 0.05" in says.text_content()
    assert first_code.locator(".bop-picture svg text").count() > 5
    slider = first_code.locator(".bop-explorer input[type=range]:enabled").first
    before = slider.input_value()
    slider.focus()
    page.keyboard.press("ArrowLeft")  # JupyterLab has a command of its own for this key
    assert slider.input_value() != before
    page.context.close()

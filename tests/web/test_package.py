"""What the page takes from npm."""

import json

from tests.web.javascript import WEB


def test_npm_s_lock_file_names_no_registry_and_hashes_everything() -> None:
    text = (WEB / "package-lock.json").read_text()
    assert "://" not in text and '"resolved"' not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)

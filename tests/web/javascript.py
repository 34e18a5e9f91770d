"""Asks the page's JavaScript modules, run by Node.js, what they make of something."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
_SCRIPT = Path(__file__).with_name("answer.mjs")

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js (node) is not installed")
needs_vendored = pytest.mark.skipif(
    not (WEB / "vendor" / "installed").exists(), reason="onnxruntime-web is not in web/vendor; `make web` puts it there"
)


def encode(values: np.ndarray) -> str:
    return base64.b64encode(np.asarray(values, dtype="<f8").tobytes()).decode()


def decode(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f8")


def ask(question: str, **request: Any) -> Any:
    """Return the answer of one function of `answer.mjs`."""
    text = json.dumps({"question": question, **request})
    ran = subprocess.run(["node", str(_SCRIPT)], input=text, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)

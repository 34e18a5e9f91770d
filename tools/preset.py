"""Lay presets over `params.yaml`, one after another: `python tools/preset.py quick`. Git takes it back.

A preset is a file of `presets/` that holds only what differs. Mappings are merged, everything else is replaced, and so
are `split.pins`, whose order matters.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

PRESETS, PARAMS_FILE = Path("presets"), Path("params.yaml")


def merge(base: dict[str, Any], overlay: dict[str, Any], where: str = "") -> None:
    """Change `base` in place; a key that it does not have is refused, as it could only be a misspelt one.

    A mapping that chooses another `name` replaces the old one: its keys are those of something else.
    """
    for key, value in overlay.items():
        if key not in base:
            sys.exit(f"the preset sets '{where}{key}', which {PARAMS_FILE} does not have; correct its spelling")
        both = isinstance(value, dict) and isinstance(base[key], dict) and key != "pins"
        if both and value.get("name", base[key].get("name")) == base[key].get("name"):
            merge(base[key], value, f"{where}{key}.")
        else:
            base[key] = value


def main() -> None:
    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True  # unquoted, a pin such as "a:*" is no YAML within braces
    chosen = parser.parse_args().names
    try:
        params = yaml.load(PARAMS_FILE)
    except (OSError, YAMLError) as failure:
        sys.exit(f"cannot read {PARAMS_FILE}: {failure}")
    if not isinstance(params, dict):
        sys.exit(f"{PARAMS_FILE} holds no mapping of keys; bring it back with `git checkout {PARAMS_FILE}`")
    for name in chosen:
        merge(params, yaml.load(PRESETS / f"{name}.yaml"))
    yaml.dump(params, PARAMS_FILE)


if __name__ == "__main__":
    main()

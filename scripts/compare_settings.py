#!/usr/bin/env python
"""What a setting is worth: python scripts/compare_settings.py runs/TMazePassive-50-v0/*"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rl_larnn.agents.errors import UserError
from rl_larnn.agents.evaluation.comparison import comparison_tables, read_run


def main() -> int:
    parser = argparse.ArgumentParser(description="Tables of runs by their settings, as Markdown.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs")
    try:
        print(comparison_tables([read_run(folder) for folder in parser.parse_args().runs]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

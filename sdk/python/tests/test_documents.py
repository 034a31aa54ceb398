"""Every snippet of docs/PYTHON.md is run, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "PYTHON.md"
SNIPPETS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize(("code", "printed"), SNIPPETS, ids=[code.splitlines()[-1] for code, _ in SNIPPETS])
@pytest.mark.usefixtures("interpreter")
def test_a_snippet_prints_what_the_page_says(code: str, printed: str, tmp_path: Path) -> None:
    script = tmp_path / "snippet.py"
    script.write_text(code)

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, env={**os.environ})

    assert done.stdout == printed, done.stderr


def test_no_snippet_is_left_out() -> None:
    assert len(SNIPPETS) == PAGE.read_text().count("```python\n") >= 7

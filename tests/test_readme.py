"""The README keeps its word: its example runs as printed, and its test command is the one that CI runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_runs_as_printed(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert re.fullmatch(r"(Epoch +\d+: loss=\d\.\d{4} avg_fire_rate=0\.\d{3}\n){10}", capsys.readouterr().out)


def test_the_test_command_is_what_ci_runs():
    command = "./setup.sh test && ./check.sh"
    assert f"\n{command}\n" in README
    assert (ROOT / ".ci" / "run").read_text().endswith(f"\n{command}\n")


def test_what_the_readme_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target

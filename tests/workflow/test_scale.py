"""The page on large runs is what its command writes."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.workflow
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def test_the_page_on_large_runs_is_in_step(checkout):
    command = [sys.executable, "-m", "casestudies.costs", "--configfile", "config/full.yaml"]
    command += ["--measurements", str(ROOT / "benchmarks/costs.csv"), "--page", "docs/scale.md"]
    done = subprocess.run(
        command,
        cwd=checkout.folder,
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = (checkout.folder / "docs/scale.md").read_text()
    kept = (ROOT / "docs/scale.md").read_text()
    remedy = f"run `{' '.join(command[1:5])} --page docs/scale.md` with python"
    assert NUMBER.sub("#", found) == NUMBER.sub("#", kept), remedy
    # Another processor may round a fit otherwise.
    pairs = zip(map(float, NUMBER.findall(found)), map(float, NUMBER.findall(kept)), strict=True)
    assert all(one == pytest.approx(other, rel=0.1, abs=0.011) for one, other in pairs), remedy

"""What the rules declare beside what finished runs used: memory and time.

    python benchmarks/declared_resources.py [LOGS ...]

LOGS are the folders of logs of finished runs (default: logs). For each step the largest use in any
of them stands beside the memory (MB) and the time (minutes) that its rule asks for at first. Steps
that ask for less than twice their use are named, and the command fails; those that ask for more
than four times that are named as well, which is right where larger data need it.
"""

import argparse
import re
import sys
from pathlib import Path

from casestudies.costs.usage import Usage, by_step, read_usage

RULES = Path(__file__).parent.parent / "workflow" / "rules"
# Beside the step, a job on a cluster holds two processes of Snakemake (170 and 130 MB).
BESIDE = 400
# Less is not asked for: a job that is smaller starts no sooner.
LEAST = {"memory": 1000, "minutes": 10}
MARGIN = 2
GENEROUS = 4
LOCAL = "localrule: True"


def declared() -> dict[str, dict[str, int | None]]:
    """Return the memory (MB) and time (minutes) that each rule asks for at first.

    None stands for what depends on the configuration, which is not read here.
    """
    found = {}
    for path in sorted(RULES.glob("*.smk")):
        for rule in re.split(r"^\s*rule\b", path.read_text(), flags=re.MULTILINE)[1:]:
            name = re.match(r" (\w+):|:\s+name:\s+f\"(\w+?)_?{", rule)
            memory = re.search(r"mem_mb=growing\((.+)\),", rule)
            minutes = re.search(r"runtime=growing\((.+)\),", rule)
            if name and memory and minutes and LOCAL not in rule:
                found[name[1] or name[2]] = {
                    "memory": int(memory[1]) if memory[1].isdigit() else None,
                    "minutes": int(minutes[1]) if minutes[1].isdigit() else None,
                }
    return found


def needed(used: Usage) -> dict[str, float]:
    """Return the memory (MB) and time (minutes) that a step should ask for, by what it used."""
    return {
        "memory": MARGIN * (used.max_rss or 0) + BESIDE,
        "minutes": MARGIN * used.seconds / 60,
    }


def judge(asked: dict[str, int | None], used: Usage) -> list[str]:
    """Return what is wrong with what a step asks for; nothing if it is right."""
    wrong = []
    for name, need in needed(used).items():
        if asked[name] is None:
            continue
        if asked[name] < need:
            wrong.append(f"too little {name}")
        elif asked[name] > max(GENEROUS * need, LEAST[name]):
            wrong.append(f"much {name}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("logs", nargs="*", type=Path, default=[Path("logs")])
    used: dict[str, list[Usage]] = {}
    for folder in parser.parse_args().logs:
        for step, usage in by_step(read_usage(folder)).items():
            used.setdefault(step, []).append(usage)
    row = "{:24} {:>5} {:>6} {:>6} {:>7} {:>6}  {}".format
    print(row("step", "jobs", "MB", "asks", "min", "asks", ""))
    failed = False
    for step, asked in sorted(declared().items()):
        memory, minutes = (asked[name] or "…" for name in ("memory", "minutes"))
        if step not in used:
            print(row(step, "-", "-", memory, "-", minutes, ""))
            continue
        one = Usage(
            sum(part.jobs for part in used[step]),
            max(part.seconds for part in used[step]),
            sum(part.cpu_seconds for part in used[step]),
            max(part.max_rss or 0 for part in used[step]),
        )
        wrong = judge(asked, one)
        failed |= any("little" in word for word in wrong)
        used_most = (f"{one.max_rss:.0f}", f"{one.seconds / 60:.1f}")
        print(row(step, one.jobs, used_most[0], memory, used_most[1], minutes, ", ".join(wrong)))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.fuzz``: a coverage-guided search for inputs that break what the parsers promise."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from tests.fuzz.seeds import CORPUS, write_seeds
from tests.fuzz.targets import TARGETS

TIMEOUT_SECONDS: Final = 30
"""For one input, in interpreted kernels."""
MEMORY_MIB: Final = 2_048
MOST_BYTES: Final = 16_384
"""Of one input."""
STANDSTILL: Final = 9
"""Added to the niceness: a search runs beside other work."""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--minutes", default=1.0, type=click.FloatRange(min=0.05), help="How long each target is searched.")
@click.option("--target", "names", multiple=True, type=click.Choice(list(TARGETS)), help="[default: all of them]")
@click.option(
    "--found", type=click.Path(path_type=Path), help="Folder for what breaks something.  [default: a new one]"
)
def main(minutes: float, names: tuple[str, ...], found: Path | None) -> None:
    """Search for inputs that end a parser in any way but with counts or an error that says what is wrong.

    Exits 1 where one was found, and names its file: it belongs into tests/fuzz/corpus/TARGET once it is mended.
    """
    found = found or Path(tempfile.mkdtemp(prefix="fuzz-found-"))
    broken = [name for name in names or TARGETS if not _search(name, minutes * 60, found)]
    inputs = sorted(str(path) for path in found.rglob("*") if path.is_file())
    click.echo("\n".join([f"broken: {', '.join(broken) or 'nothing'}", *inputs]))
    sys.exit(bool(broken))


def _search(name: str, seconds: float, found: Path) -> bool:
    """Whether the promises held."""
    click.echo(f"{name}: {seconds:,.0f} s", err=True)
    artifacts = found / name
    artifacts.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-corpus-") as folder:
        write_seeds(name, Path(folder) / "seeds")
        corpora = [Path(folder) / "grown", Path(folder) / "seeds", CORPUS / name]
        corpora[0].mkdir()
        limits = {"max_total_time": int(seconds), "timeout": TIMEOUT_SECONDS, "rss_limit_mb": MEMORY_MIB}
        options = limits | {"max_len": MOST_BYTES, "artifact_prefix": f"{artifacts}/", "print_final_stats": 1}
        command = [sys.executable, "-m", "tests.fuzz.search", name, *(str(path) for path in corpora if path.is_dir())]
        arguments = [f"-{option}={value}" for option, value in options.items()]
        ended = subprocess.run([*command, *arguments], check=False, preexec_fn=lambda: os.nice(STANDSTILL))
    return ended.returncode == 0


if __name__ == "__main__":
    main()

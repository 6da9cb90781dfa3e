"""`python -m gateway`: read the settings, build, serve, stop."""

import argparse
import sys

import uvloop

from gateway import __version__
from gateway.logs import configure
from gateway.ports import StartError
from gateway.settings import SettingsError, load
from gateway.settings_table import TABLE
from gateway.wiring import serve


def main() -> int:
    """Serve until told to stop; 2 when the settings cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway",
        description="The Tollgate gateway. Settings are environment variables:",
        epilog="\n".join(f"  {row.name} [{row.default}] {row.meaning}" for row in TABLE),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args()
    try:
        settings = load()
    except SettingsError as faults:
        print(f"tollgate: the settings cannot be used: {faults}", file=sys.stderr)  # noqa: T201 - no log exists yet
        return 2
    configure(settings.log_level)
    try:
        uvloop.run(serve(settings))
    except StartError as fault:
        print(f"tollgate: the gateway cannot start: {fault}", file=sys.stderr)  # noqa: T201 - told like the settings' faults
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

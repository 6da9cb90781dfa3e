"""Fail when the contract breaks what the last landed commit promised: `buf breaking` against git's main."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    """Compare proto/ with the commit before this one; a first commit has nothing to break."""
    base = subprocess.run(["git", "rev-parse", "HEAD~1:proto"], cwd=ROOT, capture_output=True, check=False)
    if base.returncode != 0:
        print("buf breaking: no earlier contract to compare with")
        return 0
    against = f"{ROOT / '.git'}#ref=HEAD~1,subdir=proto"
    done = subprocess.run(["buf", "breaking", "--against", against], cwd=ROOT / "proto", check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

"""Write requirements/*.lock anew from the .in files, with hashes, for Python 3.11 and later."""

import pathlib
import subprocess

REQUIREMENTS = pathlib.Path(__file__).resolve().parent.parent / "requirements"


def main() -> None:
    """Compile each set; the smaller ones constrain the larger."""
    for name in ("serve", "train", "ray", "bench", "dev", "mutation"):
        subprocess.run(
            [
                "uv",
                "pip",
                "compile",
                "--quiet",
                "--universal",
                "--python-version",
                "3.11",
                "--generate-hashes",
                "--custom-compile-command",
                "make lock",
                f"{name}.in",
                "-o",
                f"{name}.lock",
            ],
            cwd=REQUIREMENTS,
            check=True,
        )


if __name__ == "__main__":
    main()

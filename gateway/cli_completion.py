"""`tollgate completion`: a script that completes commands and options in a shell, made from the parser itself."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

Words: TypeAlias = Mapping[str, Sequence[str]]
"""What may follow each command, by the command's words: its own commands, choices and options."""

BASH: Final = """\
# tollgate completion for bash: eval "$(tollgate completion bash)"
_tollgate() {{
    local word path="" offered=""
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$path $word" in
            {known}) path="${{path:+$path }}$word" ;;
        esac
    done
    case "$path" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$offered" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _tollgate tollgate
"""

ZSH: Final = """\
# tollgate completion for zsh: eval "$(tollgate completion zsh)"
_tollgate() {{
    local word at="" offered=""
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$at $word" in
            {known}) at="${{at:+$at }}$word" ;;
        esac
    done
    case "$at" in
{cases}
    esac
    compadd -- ${{=offered}}
    _files
}}
compdef _tollgate tollgate
"""

FISH: Final = """\
# tollgate completion for fish: tollgate completion fish | source
function __tollgate_offered
    set -l at ""
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case {known}
                set at (string trim "$at $word")
        end
    end
    switch "$at"
{cases}
    end
end
complete -c tollgate -a "(__tollgate_offered)"
"""


def add_completion(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", parser: argparse.ArgumentParser
) -> None:
    """Adds the command; the script is made of what `parser` knows when it is asked for."""
    what = "print a script that completes commands and options in your shell"
    command = commands.add_parser("completion", help=what, description=what)
    command.add_argument("shell", choices=sorted(SCRIPTS), help="which shell")
    command.set_defaults(run=lambda options: _print(SCRIPTS[options.shell](dict(_words(parser, "")))))


def _print(script: str) -> int:
    print(script, end="")
    return 0


def _words(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, Sequence[str]]]:
    """What may follow a command, and every command below it."""
    offered: list[str] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        offered.extend(name for name in action.option_strings if name.startswith("--"))
        if action.choices is not None and not action.option_strings:
            offered.extend(str(choice) for choice in action.choices)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            for name, below in action.choices.items():
                yield from _words(below, f"{path} {name}".strip())
    yield path, sorted(offered)


def _filled(template: str, words: Words, known: str, case: str) -> str:
    return template.format(
        known=known, cases="\n".join(case.format(path=path, offered=" ".join(words[path])) for path in sorted(words))
    )


def _known(words: Words) -> Iterator[str]:
    """Each command after the words before it, as the scripts compare them."""
    for path in sorted(words):
        if path:
            before, _, last = path.rpartition(" ")
            yield f'"{before} {last}"'


def _bash(words: Words) -> str:
    return _filled(BASH, words, " | ".join(_known(words)), '        "{path}") offered="{offered}" ;;')


def _zsh(words: Words) -> str:
    return _filled(ZSH, words, " | ".join(_known(words)), '        "{path}") offered="{offered}" ;;')


def _fish(words: Words) -> str:
    case = '        case "{path}"\n            string split " " -- "{offered}"'
    return _filled(FISH, words, " ".join(_known(words)), case)


SCRIPTS: Final[Mapping[str, Callable[[Words], str]]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}

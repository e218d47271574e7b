"""completion: prints a script that lets a shell complete the command `dcsr`."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dcsr.cli import common
from dcsr.cli.main import TOOLS

_DESCRIPTION = """\
Prints a script with which a shell completes the tools, options and values of the command dcsr. File names are completed
where an argument is a file."""

_EPILOG = """\
examples:
  mkdir -p ~/.local/share/bash-completion/completions
  completion bash > ~/.local/share/bash-completion/completions/dcsr
  completion zsh > ~/.zfunc/_dcsr                  a folder of fpath, before compinit
  completion fish > ~/.config/fish/completions/dcsr.fish

exit status: 0 done, 2 bad usage"""

# Texts end before a bracket or semicolon: one line of a menu has no room for more.
_MAX_HELP = 60


@dataclass(frozen=True)
class _Option:
    """An option of a tool.

    Attributes:
      names: its spellings, such as ("-o", "--output").
      help: what it does, in one short line without quotes, brackets and colons.
      takes_value: whether a value follows.
      choices: the values, if they are a list.
    """

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class _Tool:
    """A tool with its options, and the values of its argument without a name, if they are a list and not a file."""

    name: str
    help: str
    options: tuple[_Option, ...]
    choices: tuple[str, ...]


def command_line() -> argparse.ArgumentParser:
    """Returns the parser of the tool's command line."""
    parser = common.parser("completion", _DESCRIPTION, _EPILOG)
    parser.add_argument("shell", choices=tuple(_SCRIPTS))
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    common.say(_SCRIPTS[command_line().parse_args(argv).shell]([_tool(name) for name in TOOLS]))
    return common.EXIT_OK


def _tool(name: str) -> _Tool:
    parser: argparse.ArgumentParser = importlib.import_module(f"dcsr.cli.{name}").command_line()
    options: list[_Option] = []
    choices: tuple[str, ...] = ()
    for action in parser._actions:
        values = tuple(map(str, action.choices or ()))
        if action.option_strings:
            options.append(_Option(tuple(action.option_strings), _short(action.help or ""), action.nargs != 0, values))
        else:
            choices = choices or values
    return _Tool(name, _short(TOOLS[name]), tuple(options), choices)


def _short(text: str) -> str:
    text = re.split(r" \(|[;:]", text)[0]
    text = re.sub(r"[^\w /.,*+'-]", "", text.replace("%%", "%"))
    return text if len(text) <= _MAX_HELP else text[:_MAX_HELP].rpartition(" ")[0] + " ..."


def _bash(tools: Sequence[_Tool]) -> str:
    values, options, arguments = [], [], []
    for tool in tools:
        for option in tool.options:
            pattern = "|".join(f"'{tool.name} {name}'" for name in option.names)
            if option.choices:
                values.append(f"    {pattern}) words={shlex.quote(' '.join(option.choices))} ;;")
            elif option.takes_value:
                values.append(f"    {pattern}) return ;;")
        names = " ".join(name for option in tool.options for name in option.names)
        options.append(f"        {tool.name}) words={shlex.quote(names)} ;;")
        if tool.choices:
            arguments.append(f"        {tool.name}) words={shlex.quote(' '.join(tool.choices))} ;;")
    return "\n".join(
        [
            "# Completion of dcsr for bash. Without an answer bash completes file names.",
            "_dcsr() {",
            "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=",
            "  COMPREPLY=()",
            "  # bash splits --option=value into three words.",
            '  if [ "$word" = = ]; then word=; elif [ "$before" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi',
            '  if [ "$COMP_CWORD" -eq 1 ]; then',
            f"    words='{' '.join(tool.name for tool in tools)} --help --version'",
            "  else",
            '    case "${COMP_WORDS[1]} $before" in',
            *values,
            "    *)",
            '      case "$word" in',
            "      -*)",
            '        case "${COMP_WORDS[1]}" in',
            *options,
            "        esac ;;",
            "      *)",
            '        case "${COMP_WORDS[1]}" in',
            *arguments,
            "        esac ;;",
            "      esac ;;",
            "    esac",
            "  fi",
            '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
            "}",
            "complete -o default -F _dcsr dcsr",
        ]
    )


def _zsh(tools: Sequence[_Tool]) -> str:
    lines = ["#compdef dcsr", "", "_dcsr() {", "  local -a tools=("]
    lines += [f"    {shlex.quote(f'{tool.name}:{tool.help}')}" for tool in tools]
    lines += ["  )", "  if (( CURRENT == 2 )); then", "    _describe tool tools", "    return", "  fi"]
    lines += ["  local tool=$words[2]", "  shift words", "  (( CURRENT-- ))", "  case $tool in"]
    for tool in tools:
        lines += [f"  {tool.name})", "    _arguments \\"]
        for option in tool.options:
            value = ""
            if option.takes_value:
                value = f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
            exclusive = f"({' '.join(option.names)})"
            lines += [f"      {shlex.quote(f'{exclusive}{name}[{option.help}]{value}')} \\" for name in option.names]
        rest = f"*:value:({' '.join(tool.choices)})" if tool.choices else "*:file:_files"
        lines += [f"      {shlex.quote(rest)} ;;"]
    lines += ["  esac", "}", ""]
    lines += ["# Read from a folder of fpath, or by `source`.", 'if [ "$funcstack[1]" = _dcsr ]; then', '  _dcsr "$@"']
    return "\n".join([*lines, "else", "  compdef _dcsr dcsr", "fi"])


def _fish(tools: Sequence[_Tool]) -> str:
    lines = ["# Completion of dcsr for fish."]
    for tool in tools:
        quoted = shlex.quote(tool.help)
        lines.append(f"complete -c dcsr -n __fish_use_subcommand -f -a {tool.name} -d {quoted}")
    for tool in tools:
        condition = f"-n '__fish_seen_subcommand_from {tool.name}'"
        for option in tool.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = f" -x -a {shlex.quote(' '.join(option.choices))}" if option.choices else ""
            value = value or (" -r -F" if option.takes_value else "")
            lines.append(f"complete -c dcsr {condition} {names}{value} -d {shlex.quote(option.help)}")
        if tool.choices:
            lines.append(f"complete -c dcsr {condition} -f -a {shlex.quote(' '.join(tool.choices))}")
    return "\n".join(lines)


_SCRIPTS: dict[str, Callable[[Sequence[_Tool]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}

"""Writes down the options of `eksctl create nodegroup` from eksctl's own source.

python -m scripts.eksctl_options REPOSITORY REVISION

REPOSITORY is a git directory of github.com/eksctl-io/eksctl. The command's function and those that it calls of
pkg/ctl/cmdutils define the options; what is printed by `eksctl create nodegroup --help` is made of the same calls.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

OUTPUT = Path(__file__).parents[1] / "tests" / "data" / "eksctl" / "create_nodegroup.json"
COMMAND = "pkg/ctl/create/nodegroup.go"
ENTRY = "createNodeGroupCmdWithRunFunc"
SHARED = "pkg/ctl/cmdutils"

_FUNCTION = re.compile(r"^func (?:\([^)]*\) )?(\w+)\(.*?^}", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"\b(?:cmdutils\.)?(\w+)\(")
# pflag: fs.Bool("name", ...), fs.BoolVar(&to, "name", ...), fs.BoolVarP(&to, "name", "n", ...), fs.BoolP("name", "n").
_OPTION = re.compile(
    r"fs\.(?:String|Bool|Int|Duration|StringSlice|StringToString)(Var)?(P)?\(\s*"
    r"(?(1)[^,]+,\s*)\"([a-z][a-z0-9-]*)\"(?(2),\s*\"(\w?)\")"
)
_NAMED_BY_CALLER = re.compile(r"AddStringToStringVarPFlag\(fs, [^,]+, \"([a-z-]+)\"")


def main(repository: str, revision: str) -> None:
    """Writes the options that eksctl's source defines at that revision into OUTPUT."""
    files = _git(repository, "ls-tree", "--name-only", revision, f"{SHARED}/").split()
    sources = [name for name in (COMMAND, *files) if name.endswith(".go") and not name.endswith("_test.go")]
    bodies: dict[str, str] = {}
    for name in sources:
        for definition in _FUNCTION.finditer(_git(repository, "show", f"{revision}:{name}")):
            bodies.setdefault(definition[1], definition[0])
    options: dict[str, str] = {}
    for body in _reached(bodies):
        options |= {name: short or "" for _, _, name, short in _OPTION.findall(body)}
        options |= dict.fromkeys(_NAMED_BY_CALLER.findall(body), "")
    version = re.search(r'Version = "([^"]+)"', _git(repository, "show", f"{revision}:pkg/version/release.go"))
    document = {
        "source": f"github.com/eksctl-io/eksctl, {COMMAND} and {SHARED}",
        "version": version[1] if version else "",
        "revision": _git(repository, "rev-parse", revision).strip(),
        "options": {f"--{name}": f"-{short}" if short else None for name, short in sorted(options.items())},
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(document, indent=2) + "\n")


def _reached(bodies: dict[str, str]) -> list[str]:
    """The bodies of the command's function and of all that it calls among `bodies`."""
    todo, reached = [ENTRY], dict[str, str]()
    while todo:
        name = todo.pop()
        if name in reached or name not in bodies:
            continue
        reached[name] = bodies[name]
        todo += _CALL.findall(bodies[name])
    return list(reached.values())


def _git(repository: str, *words: str) -> str:
    return subprocess.run(["git", "-C", repository, *words], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runs the commands of the pipeline in this process, which is quick, and captures their output."""

import shlex
import subprocess
from dataclasses import dataclass

import pytest
from luigi.retcodes import run_with_retcodes
from luigi.task_register import Register

from pipeline.__main__ import main


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


def pipeline(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """`python -m pipeline` with these words."""
    capsys.readouterr()
    Register.clear_instance_cache()
    code: object = 0
    try:
        main(list(words))
    except SystemExit as exit_:
        code = exit_.code
    out, err = capsys.readouterr()
    # a text to exit with is what Python writes to stderr
    return Said(1, out, f"{err}{code}\n") if isinstance(code, str) else Said(int(code or 0), out, err)


def shell(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """A command line of luigi, of python -m pipeline or of rm, or several with && between them; it has to succeed."""
    for command in line.split(" && "):
        words = shlex.split(command)
        if words[0] == "rm":
            subprocess.run(words, check=True)
        elif words[0] == "luigi":
            Register.clear_instance_cache()
            with pytest.raises(SystemExit) as exit_:
                run_with_retcodes(words[1:])
            assert not exit_.value.code, (command, capsys.readouterr())
        else:
            assert words[:3] == ["python", "-m", "pipeline"], command
            said = pipeline(capsys, *words[3:])
            assert said.code == 0, (command, said)

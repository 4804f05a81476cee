"""The command line: its commands, and what every one of them does about errors.

Floor 6. Each command is in a file of its own, and imports what it needs when it runs, so that
`--help` and a mistyped option answer at once. A mistake of the user's is one line on standard
error and an exit status, never a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from headway.cli import cell, deps, doctor, kernel, logs, relay, run, serve, status, watch
from headway.cli.exit_statuses import EXIT_MISTAKE
from headway.cli.notebooks import notebooks
from headway.cli.open import open_notebook
from headway.cli.terminal import complain, say
from headway.errors import BadRequest, HeadwayError

__all__ = ["app", "run_command"]

_SETTINGS = {"help_option_names": ["-h", "--help"]}


def _examples(lines: Iterable[str]) -> str:
    return "Examples:\n\n\b\n" + "\n".join(f"  {line}" for line in lines)


def _new_app(**named: Any) -> typer.Typer:
    # Plain help: rich would take as long to import as everything else that --help needs.
    return typer.Typer(
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
        **named,
    )


def _show_commands(context: typer.Context) -> None:
    """Without a command: which there are. It counts as a mistake all the same."""
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(EXIT_MISTAKE)


app = _new_app(
    help="Notebooks as replicated documents: what runs is exactly what you confirmed.",
    epilog=_examples(("headway run analysis.ipynb", "headway ps", "headway COMMAND --help")),
)

_cells = _new_app(
    callback=_show_commands,
    help="One cell at a time: list, show, add, edit, delete, move, run.",
    epilog=_examples(("headway cell list analysis.ipynb", "headway cell COMMAND --help")),
)


_kernels = _new_app(
    callback=_show_commands,
    help="A notebook's kernel: list, start, change, restart, stop, interrupt.",
    epilog=_examples(("headway kernel list", "headway kernel COMMAND --help")),
)

_dependencies = _new_app(
    callback=_show_commands,
    help="What a notebook declares that it needs: list, add, remove.",
    epilog=_examples(("headway deps list analysis.ipynb", "headway deps COMMAND --help")),
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        say(f"headway {metadata.version('headway')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    del version
    _show_commands(context)


def _add(into: typer.Typer, name: str, command: Any, *examples: str, **named: Any) -> None:
    into.command(name, epilog=_examples(examples), **named)(command)


_add(app, "run", run.run, *run.EXAMPLES, cls=run.RunCommand)
_add(app, "watch", watch.watch, *watch.EXAMPLES)
_add(app, "open", open_notebook, "headway open analysis.ipynb", "headway open new.ipynb --json")
_add(
    app,
    "serve",
    serve.serve,
    "headway serve",
    "headway serve --http 127.0.0.1:8000",
    "headway serve --foreground",
)
_add(app, "ps", status.ps, "headway ps", "headway ps --json")
_add(app, "notebooks", notebooks, "headway notebooks", "headway notebooks --json")
_add(app, "status", status.status, "headway status", "headway status --json")
_add(app, "stop", status.stop, "headway stop")
_add(app, "logs", logs.logs, "headway logs -n 20", "headway logs -f", "headway logs --json")
_add(app, "doctor", doctor.doctor, "headway doctor", "headway doctor --json")
_add(app, "relay", relay.relay, "ssh far.example headway relay")
_add(_cells, "list", cell.list_cells, "headway cell list analysis.ipynb")
_add(_cells, "show", cell.show, "headway cell show analysis.ipynb 4f2a")
_add(
    _cells,
    "add",
    cell.add,
    "headway cell add analysis.ipynb 'print(1 + 1)'",
    "headway cell add analysis.ipynb '# Title' --type markdown --before 4f2a",
    "headway cell add analysis.ipynb - < cell.py",
)
_add(_cells, "edit", cell.edit, "headway cell edit analysis.ipynb 4f2a 'x = 2'")
_add(_cells, "delete", cell.delete, "headway cell delete analysis.ipynb 4f2a")
_add(_cells, "move", cell.move, "headway cell move analysis.ipynb 4f2a --after 91bc")
_add(_cells, "run", cell.run, "headway cell run analysis.ipynb 4f2a --timeout 60")
app.add_typer(_cells, name="cell")
_add(_kernels, "list", kernel.list_kernels, "headway kernel list", "headway kernel list --json")
_add(
    _kernels,
    "start",
    kernel.start,
    "headway kernel start analysis.ipynb --kernel python3",
    "headway kernel start analysis.ipynb --environment .venv",
    "headway kernel start analysis.ipynb --install",
)
_add(_kernels, "change", kernel.change, "headway kernel change analysis.ipynb python3")
_add(
    _kernels,
    "restart",
    kernel.restart,
    "headway kernel restart analysis.ipynb",
    "headway kernel restart analysis.ipynb --run-all",
)
_add(_kernels, "stop", kernel.stop, "headway kernel stop analysis.ipynb")
_add(_kernels, "interrupt", kernel.interrupt, "headway kernel interrupt analysis.ipynb")
app.add_typer(_kernels, name="kernel")
_add(_dependencies, "list", deps.list_dependencies, "headway deps list analysis.ipynb")
_add(_dependencies, "add", deps.add, "headway deps add analysis.ipynb pandas numpy~=2.0")
_add(_dependencies, "remove", deps.remove, "headway deps remove analysis.ipynb pandas")
app.add_typer(_dependencies, name="deps")


def run_command(arguments: Sequence[str]) -> int:
    """Run a command; gives the exit status. What went wrong is told on standard error.

    Raises KeyboardInterrupt after Ctrl-C, and BrokenPipeError when nobody reads the output.
    """
    try:
        _check_encoding(arguments)
        return app(list(arguments), prog_name="headway", standalone_mode=False) or 0
    except typer.TyperException as mistake:
        said = mistake.format_message()
        end = "" if said.endswith((".", "?")) else "."
        complain(f"{said}{end} `{_named(mistake, arguments)} --help` says what it takes.")
        return mistake.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except HeadwayError as error:
        complain(str(error))
        return error.exit_status
    except BrokenPipeError:
        raise
    except OSError as error:
        complain(_refused(error))
        return 1
    except Exception:
        raise
    except BaseException as error:
        import asyncio  # imported by whoever raised this, or else it is not what is looked for

        if isinstance(error, asyncio.CancelledError):
            raise KeyboardInterrupt from error
        raise


def _refused(error: OSError) -> str:
    """What the system refuses where nothing better was said: a name too long, a full disk."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return "The folder that this runs in was removed. Change to another one."
    named = "" if error.filename is None else f" ({error.filename})"
    return f"The system refused: {error.strerror or error}{named}."


def _check_encoding(arguments: Iterable[str]) -> None:
    """What is not text can be no part of a notebook, and no name that a daemon is told."""
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError as error:
            raise BadRequest(f"{each!a} is not UTF-8. Give the file another name.") from error


def _named(mistake: typer.TyperException, arguments: Sequence[str]) -> str:
    """The command that a mistake is in; not every mistake knows it."""
    context = getattr(mistake, "ctx", None)
    if context is not None:
        return str(context.command_path)
    known: Any = typer.main.get_command(app)
    names = ["headway"]
    for word in arguments:
        known = getattr(known, "commands", {}).get(word)
        if known is None:
            break
        names.append(word)
    return " ".join(names)

"""`completion`: the script by which a shell completes our words, options and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_ASTERISK_CONNECTOR_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Prints the script that completes our commands in SHELL.

    \b
    bash: asterisk-connector completion bash >/etc/bash_completion.d/asterisk-connector
    zsh:  asterisk-connector completion zsh >/usr/local/share/zsh/site-functions/_asterisk-connector
    fish: asterisk-connector completion fish >~/.config/fish/completions/asterisk-connector.fish
    """
    script = get_completion_class(shell)
    assert script is not None, "one of click's own shells"
    root = ctx.find_root()
    click.echo(script(root.command, {}, root.info_name or "", _VARIABLE).source())

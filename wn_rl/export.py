"""``python -m wn_rl.export agent=... format=onnx``: an agent, or its games, in another program's form."""

from wn_rl.system.interrupts import listen
from wn_rl.system.missing_packages import explain_missing_packages

if __name__ == "__main__":
    explain_missing_packages()
    listen()  # before what takes long to import

from omegaconf import DictConfig

from wn_rl.app.command_line import import_typed_modules, run_command
from wn_rl.errors import ConfigurationError


def main(config: DictConfig) -> None:
    """Write one file, folder, repository or data set, and say where it is."""
    for key, example in (("agent", "runs/Pong/<run>"), ("format", "onnx")):
        if config[key] is None:
            raise ConfigurationError(f"{key} is missing; name one, as in: {key}={example}")
    import_typed_modules(config)
    from wn_rl.app.exporting import export

    print(export(config))


if __name__ == "__main__":
    run_command("export", main)

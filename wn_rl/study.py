"""``python -m wn_rl.study``: run a declared comparison of arms over games and seeds, and report what it shows."""

from wn_rl.system.interrupts import listen
from wn_rl.system.missing_packages import explain_missing_packages

if __name__ == "__main__":
    explain_missing_packages()
    listen()  # before what takes long to import

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from wn_rl.app.command_line import run_command
from wn_rl.errors import ConfigurationError
from wn_rl.system.fields import switch, text_or_null
from wn_rl.system.terminals import quote_command

COMMAND_SETTINGS = ("output_dir", "launch", "report")


def main(config: DictConfig) -> None:
    """Run what is missing, and write the report."""
    from wn_rl.app.studies import read_all_runs, run_study, summarize_study
    from wn_rl.app.study_settings import read_study
    from wn_rl.viewing.study_report import write_report

    values: Any = OmegaConf.to_container(config, resolve=True)
    told = {key: values.pop(key) for key in COMMAND_SETTINGS}
    study = read_study(values)
    named, launch = text_or_null("output_dir", told["output_dir"]), told["launch"]
    folder = Path("runs", "studies", study.name) if named is None else Path(named)
    if not isinstance(launch, list) or not all(isinstance(word, str) for word in launch):
        raise ConfigurationError(f"launch={launch}: needs a list of words, as in launch=[hydra/launcher=joblib]")
    if not switch("report", told["report"]) and not run_study(study, folder, launch):
        print(f"stopped; go on with: {quote_command('study', *HydraConfig.get().overrides.task)}")
        return
    runs = read_all_runs(study, folder)
    if not runs:
        raise ConfigurationError(f"{folder}: there is no finished run yet")
    paths = write_report(folder, summarize_study(study, runs), [run._asdict() for run in runs])
    print(paths[0].read_text(), end="")
    print(f"written: {', '.join(map(str, paths))}")


if __name__ == "__main__":
    run_command("study", main)

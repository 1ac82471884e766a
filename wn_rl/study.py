"""``python -m wn_rl.study``: run a declared comparison of arms over games and seeds, and report what it shows."""

from wn_rl.system.interrupts import listen

if __name__ == "__main__":
    listen()  # before what takes long to import

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from wn_rl.app.command_line import run_command
from wn_rl.errors import ConfigurationError
from wn_rl.system.fields import switch, text_or_null
from wn_rl.system.terminals import quote_command

COMMAND_SETTINGS = ("output_dir", "launch", "report")


def main(config: DictConfig) -> None:
    """Run what is missing, stage by stage, and write the report."""
    from wn_rl.app.studies import COMPARISON, SELECTION, choose_rates, list_sweeps, read_runs, read_study, run_sweeps

    values: Any = OmegaConf.to_container(config, resolve=True)
    told = {key: values.pop(key) for key in COMMAND_SETTINGS}
    study = read_study(values)
    named = text_or_null("output_dir", told["output_dir"])
    folder = Path("runs", "studies", study.name) if named is None else Path(named)
    launch = told["launch"]
    if not isinstance(launch, list) or not all(isinstance(word, str) for word in launch):
        raise ConfigurationError(f"launch={launch}: needs a list of words, as in launch=[hydra/launcher=joblib]")
    go_on = quote_command("study", *([] if named is None else [f"output_dir={named}"]))
    if not switch("report", told["report"]):
        if len(study.learning_rates) > 1 and not run_sweeps(list_sweeps(study, folder, SELECTION, {}), launch):
            print(f"stopped; the same command goes on, as in: {go_on}")
            return
        rates = choose_rates(study, read_runs(study, folder, SELECTION))
        if missing := [arm for arm in study.arms if arm not in rates]:
            raise ConfigurationError(f"{folder}: runs of {', '.join(missing)} are missing; the same command goes on")
        if not run_sweeps(list_sweeps(study, folder, COMPARISON, rates), launch):
            print(f"stopped; the same command goes on, as in: {go_on}")
            return
    _report(study, folder)


def _report(study: Any, folder: Path) -> None:
    from wn_rl.app.studies import COMPARISON, SELECTION, read_runs, summarize_study
    from wn_rl.viewing.study_report import write_report

    runs = [*read_runs(study, folder, SELECTION), *read_runs(study, folder, COMPARISON)]
    if not runs:
        raise ConfigurationError(f"{folder}: there is no finished run yet")
    paths = write_report(folder, summarize_study(study, runs), [run._asdict() for run in runs])
    print(paths[0].read_text(), end="")
    print(f"written: {', '.join(map(str, paths))}")


if __name__ == "__main__":
    run_command("study", main)

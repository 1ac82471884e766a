"""Agents on the Hugging Face Hub: a repository of ``weights.safetensors``, ``agent.json``, a model card and a video.

``hf:<owner>/<name>`` names one, ``hf:<owner>/<name>@<branch, tag or commit>`` a state of it. Only the two files that
an agent is are downloaded, after their sizes are known; neither can carry code. A repository of Stable-Baselines3's
gives its ``.zip`` instead.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from wn_rl.errors import ConfigurationError
from wn_rl.interop.extras import import_extra
from wn_rl.interop.model_card import make_model_card
from wn_rl.interop.portable import save_portable_agent
from wn_rl.interop.sb3_reader import MAX_FILE_BYTES
from wn_rl.runs.agent import MAX_DESCRIPTION_BYTES, Agent, load_agent
from wn_rl.runs.layout import DESCRIPTION_FILE, WEIGHTS_FILE

PREFIX = "hf:"
FOLDER = Path("runs/hub")
"""Where downloaded agents lie, and beside them what is made of them."""
MAX_WEIGHTS_BYTES = 2**30  # reading them, runs/agent.py asks for no more than their network takes
CARD_FILE, VIDEO_FILE = "README.md", "replay.mp4"  # names that the Hub shows

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}")
_WORD = re.compile(rf"{PREFIX}(?P<repository>{_PART}/{_PART})(@(?P<revision>[A-Za-z0-9_][A-Za-z0-9_./-]*))?")


def download_agent(word: str) -> Path:
    """The folder, or Stable-Baselines3's ``.zip``, of the agent ``hf:<owner>/<name>``, below ``runs/hub``.

    Raises:
        ConfigurationError: there is no such repository, it holds no agent, or cannot be reached; in one line.
    """
    found = _WORD.fullmatch(word)
    if found is None:
        raise ConfigurationError(f"agent={word}: name it as in agent=hf:<owner>/<name>, or hf:<owner>/<name>@<tag>")
    repository, revision = found["repository"], found["revision"]
    hub = import_extra("huggingface_hub", extra="hub")
    folder = FOLDER / repository
    try:
        api = hub.HfApi()
        info = api.model_info(repository, revision=revision, files_metadata=True)
        names = _choose_files(word, {entry.rfilename: entry.size for entry in info.siblings})
        for name in names:
            api.hf_hub_download(repository, name, revision=info.sha, local_dir=folder)
    except ConfigurationError:
        raise
    except Exception as error:  # the client's own, and whatever its connection raises
        raise ConfigurationError(f"agent={word} cannot be had: {_summarize(error)}") from error
    return folder if names[0] == DESCRIPTION_FILE else folder / names[0]


def _choose_files(word: str, sizes: Mapping[str, int | None]) -> list[str]:
    """Which files of a repository are the agent; ConfigurationError where there is none, or one is too large."""
    limits = {DESCRIPTION_FILE: MAX_DESCRIPTION_BYTES, WEIGHTS_FILE: MAX_WEIGHTS_BYTES}
    if not limits.keys() <= sizes.keys():
        zips = [name for name in sizes if re.fullmatch(rf"{_PART}\.zip", name)]
        if len(zips) != 1:
            raise ConfigurationError(
                f"agent={word} holds no agent: neither {DESCRIPTION_FILE} with {WEIGHTS_FILE}, nor one .zip of"
                " Stable-Baselines3"
            )
        limits = {zips[0]: MAX_FILE_BYTES}
    for name, limit in limits.items():
        size = sizes[name]
        if size is None or size > limit:
            raise ConfigurationError(
                f"agent={word}: its {name} has {size} bytes, of which at most {limit:,} can be right"
            )
    return list(limits)


def upload_agent(agent: Agent, repository: str, *, video: Path | None, is_private: bool) -> str:
    """Make the repository, if there is none, put the agent into it, and return its address.

    Args:
        agent: what is uploaded, without the paths of this machine.
        repository: ``<owner>/<name>``.
        video: of a game of it; shown beside the model card.
        is_private: whether a new repository is for its owner alone.

    Raises:
        ConfigurationError: the name cannot be one, or the Hub refuses it, as where nobody is logged in.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigurationError(f"output={repository}: name the repository, as in output=<owner>/<name>")
    hub = import_extra("huggingface_hub", extra="hub")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        save_portable_agent(folder, agent)
        portable = load_agent(folder)
        if video is not None:
            shutil.copyfile(video, folder / VIDEO_FILE)
        (folder / CARD_FILE).write_text(make_model_card(portable, repository), encoding="utf-8")
        try:
            api = hub.HfApi()
            api.create_repo(repository, private=is_private, exist_ok=True)
            message = f"{agent.description['game']} after {agent.description['agent_steps']:,} agent steps"
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
            return f"{api.endpoint}/{repository}"
        except Exception as error:
            raise ConfigurationError(
                f"output={repository} cannot be uploaded: {_summarize(error)}; log in with: hf auth login"
            ) from error


def _summarize(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__

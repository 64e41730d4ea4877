"""DVC stage track: tell MLflow of this round. Has no outputs and decides nothing."""

from al_plugin.config import Params
from al_plugin.stage import run
from al_plugin.tracking import tell


def track(params: Params) -> None:
    told = tell(params)
    print(f"track: {told.message}")
    if told.link:
        print(f"track: see {told.link}")


if __name__ == "__main__":
    run("track", track)

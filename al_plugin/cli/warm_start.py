"""`al warm-start`, `al warm-start --off`."""

import argparse

from al_plugin.stage import load_params
from al_plugin.start import file_model, take_out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--off", action="store_true", help="take the model out of data/start again")


def run(arguments: argparse.Namespace) -> int:
    """File the current model, or take it out."""
    if arguments.off:
        take_out()
        print("data/start is empty again, staged for commit")
        if load_params().train.warm_start is not None:
            print("Next: set train.warm_start to null in params.yaml")
        return 0
    number = file_model()
    print(f"filed the model of round {number} in data/start, staged for commit")
    if load_params().train.warm_start is None:
        print("Next: set train.warm_start in params.yaml, such as {shrink: 0.6, perturb: 0.01}")
    return 0

"""Training strategies with one fault each: the shipped ``single`` with something done around it."""

# ruff: noqa: NPY002 - the legacy generator is one of the faults

from dataclasses import replace

import numpy as np
from broken.impersonate import impersonates

from al_plugin.strategies.train.single import single


@impersonates("train", "single", "seed_matters")
def own_seed(task):
    """Always seed 0."""
    return single(replace(task, seed=0))


@impersonates("train", "single", "global_generators")
def global_order(task):
    """The seed comes from numpy.random."""
    return single(replace(task, seed=int(np.random.randint(2**31))))


@impersonates("train", "single", "inputs_unwritten")
def scales_in_place(task):
    """Scales the features in place."""
    np.multiply(task.features, 0.5, out=task.features)
    return single(task)


@impersonates("train", "single", "fitted_form")
def curve_one_short(task):
    """One epoch less in the curve than there were."""
    fitted = single(task)
    return replace(fitted, curve={name: values[1:] for name, values in fitted.curve.items()})


@impersonates("train", "single", "learns")
def never_steps(task):
    """A learning rate of 0."""
    return single(replace(task, lr=0.0))


@impersonates("train", "single", "dynamics_recorded")
def dispersion_every_epoch(task):
    """Records the pool every epoch, whatever was asked."""
    return single(replace(task, dynamics_every=1))


@impersonates("train", "single", "few_labels")
def stratified(task):
    """Needs two classes."""
    if len(set(task.labels.tolist())) < 2:
        raise ValueError("the number of classes has to be greater than one")
    return single(task)


@impersonates("train", "single", "signals_provided")
def other_network(task):
    """The card describes another network than the weights belong to."""
    fitted = single(task)
    return replace(fitted, network={**fitted.network, "hidden": 7})


_runs: list[int] = []


@impersonates("train", "single", "repeatable")
def warm_start(task):
    """Every run goes on from a counter kept in the module."""
    _runs.append(1)
    return single(replace(task, seed=task.seed + len(_runs)))

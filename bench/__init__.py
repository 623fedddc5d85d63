"""sepbench: craft protective perturbations, train victims on them, compare what is left.

A run reads from left to right, and each folder imports only those before it:

    core < store < record < contracts < data < engine < spec < plan < { run | read } < perf < cli

    spec/       what is asked for: an experiment, its cells, its table, read from YAML
    plan/       what has to be done: stages with keys, which are there, what the others cost
    run/        doing it: stages, executors, one invocation, its progress and its stop
    record/     what a run leaves: records, provenance, the experiment log in MLflow
    read/       what people read: tables, statistics, plots, the leaderboard

    contracts/  what a plug-in promises: method, defense, network, data set, budget
    data/       images and labels, however they are stored
    engine/     numerics that know no experiment: training, gradients of ensembles, releasing, judging
    store/      artifacts by key, locks between processes, the home
    core/       errors, keys, seeds, files, devices
    perf/       throughput against plain loops
    cli/        the commands

    api.py      all that a plug-in imports
"""

__version__ = "0.1.0"

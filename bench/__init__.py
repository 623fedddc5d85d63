"""sepbench: craft protective perturbations, train victims on them, compare what is left.

experiment.yaml -> spec -> plan -> run -> record -> read -> tables, plots, leaderboard

spec/       what is asked for: experiments, their cells and axes, the layout of tables
plan/       what has to be done: stages (surrogate, craft, victim), their keys, what they cost
run/        doing it: what each stage does, executors, progress, stopping
record/     what a run leaves: a record for each victim, where it came from, MLflow
read/       what people read: tables, plots, statistics, the leaderboard

contracts/  what a plug-in promises: method, defense, network, data set, budget
data/       images, and the formats they come in
engine/     numerics that know no experiment: training, gradients of ensembles, release, judging
store/      artifacts under their keys, locks, the home
core/       errors, keys, seeds, files, processes: what knows nothing of images
perf/       this machine against plain loops
flows/      what a person asks for in one call: protect, evaluate
cli/        the commands
api.py      what a plug-in imports, and all that it may import

A folder imports only those before it, and run and read never each other:
core < store < record < contracts < data < engine < spec < plan < { run | read } < perf < flows < cli
"""

__version__ = "0.1.0"

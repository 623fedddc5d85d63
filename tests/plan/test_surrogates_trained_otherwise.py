"""A method may ask for a surrogate that is trained otherwise than the experiment's networks."""

from typing import Any

import pytest

from bench.contracts.method import METHODS, Surrogate
from bench.core.errors import SepbenchError
from bench.plan.make import make_plan
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage, SurrogateJob
from bench.spec.experiment import Experiment
from tests.making.cards import CARD
from tests.making.experiments import LEARNING


def plan(*methods: Any, **changes: Any) -> Plan:
    return make_plan(Experiment.model_validate({**LEARNING, "methods": [*methods], **changes}), CARD)


def surrogate(found: Plan) -> tuple[Stage, SurrogateJob]:
    ((stage, job),) = [(one, one.job) for one in found.stages.values() if isinstance(one.job, SurrogateJob)]
    return stage, job


def craft_of(found: Plan) -> Stage:
    (stage,) = [one for one in found.stages.values() if isinstance(one.job, CraftJob) and one.job.checkpoints]
    return stage


def test_tap_asks_for_the_published_training_and_shares_it() -> None:
    stage, job = surrogate(plan("tap", "tap-untargeted", {"tap": {"steps": 3}}))
    recipe = job.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.nesterov) == (40, 128, 0.1, True)
    assert [recipe.lr * recipe.schedule.scale(epoch, 40) for epoch in (13, 14, 24, 25, 34, 35)] == pytest.approx(
        [0.1, 0.01, 0.01, 0.001, 0.001, 0.0001]
    )
    assert (stage.passes, stage.name) == (40, "resnet8 · 40 epochs · seed 0")


def test_a_surrogate_of_the_recipe_is_the_one_that_sep_uses() -> None:
    stage, job = surrogate(plan({"tap": {"surrogate": "recipe"}}, {"sep": {"checkpoints": 1}}))
    assert stage.name == "resnet8 · seed 0"
    assert job.recipe == Experiment.model_validate(LEARNING).recipe


def test_hypo_asks_for_adversarial_training_whose_passes_count() -> None:
    stage, job = surrogate(plan({"hypo": {"epochs": 5, "attack_steps": 4}}))
    assert str(job.defenses) == "adversarial-training:radius=2,step_size=0.5,steps=4"
    assert (job.recipe.epochs, stage.passes) == (5, 5 * 5)
    assert stage.name == f"resnet8 · {job.defenses} · 5 epochs · seed 0"


def test_entangled_features_ask_for_adversarial_training_as_published_and_share_it() -> None:
    stage, job = surrogate(plan("entf-push", "entf-pull", {"entf-pull": {"steps": 3}}))
    assert str(job.defenses) == "adversarial-training-4"  # its other parameters are the defaults
    assert (job.recipe.epochs, job.recipe.normalise, stage.passes) == (100, False, 100 * 11)


def test_aap_asks_for_windows_as_small_as_it_crafts_with() -> None:
    _, job = surrogate(plan("aap", "aap-untargeted"))
    recipe = job.recipe
    assert recipe.augmentation.model_dump() == {"crop_padding": 0, "resized_crop": 0.64, "flip": True}
    assert (recipe.epochs, recipe.rate(10, 1), recipe.rate(0, 10)) == pytest.approx((40, 0.5, 0.05))


@pytest.mark.parametrize("method", [{"sep": {"checkpoints": 2}}, {"seed-ensemble": {"runs": 3}}])
def test_crafting_replicates_share_no_network(method: Any) -> None:
    found = plan(method, surrogate_seeds=[0, 1, 2])
    of_each = [
        stage.job.checkpoints
        for stage in found.stages.values()
        if isinstance(stage.job, CraftJob) and stage.job.checkpoints
    ]
    networks = [part.surrogate for parts in of_each for part in parts]
    assert len(of_each) == 3
    assert len(set(networks)) == len(networks)
    seeds = sorted(stage.job.seed for stage in found.stages.values() if isinstance(stage.job, SurrogateJob))
    assert seeds == [*range(len(networks))]


def test_a_key_depends_on_how_the_surrogate_is_trained() -> None:
    settings: list[dict[str, int]] = [{}, {"epochs": 5}, {"attack_radius": 3}, {"attack_steps": 4}]
    stages = [surrogate(plan({"hypo": setting}))[0] for setting in settings]
    protected = [craft_of(plan({"hypo": setting})).key for setting in settings]
    assert len({stage.key for stage in stages}) == len(settings)
    assert len(set(protected)) == len(settings)


def test_its_checkpoints_are_of_its_own_epochs() -> None:
    found = plan("tap", recipe={"name": "digits", "epochs": 2})
    job = craft_of(found).job
    assert isinstance(job, CraftJob)
    assert job.checkpoints[0].identity() == (39,)


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (
            Surrogate(recipe={"epoch": 3}),
            "the recipe of its surrogate: epoch: there is no such field; did you mean epochs",
        ),
        (Surrogate(recipe={"epochs": 0}), "the recipe of its surrogate: epochs: must be at least 1"),
        (Surrogate(defense="adversarial-trainin"), "unknown defense 'adversarial-trainin'"),
        (
            Surrogate(recipe={"epochs": 3}, at=(5,)),
            "the checkpoint of epoch 5 was asked of a surrogate",
        ),
    ],
)
def test_what_cannot_be_trained_is_said_with_the_method(
    need: Surrogate, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS.get("tap"), "needs", lambda self: [need])
    with pytest.raises((SepbenchError, ValueError)) as refused:
        plan("tap")
    assert said in str(refused.value)


def test_a_defense_that_changes_the_network_is_for_victims(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.contracts.defense import DEFENSES, Defense

    wraps = next(name for name in DEFENSES.names() if DEFENSES.get(name).network is not Defense.network)
    monkeypatch.setattr(METHODS.get("tap"), "needs", lambda self: [Surrogate(defense=wraps)])
    with pytest.raises((SepbenchError, ValueError), match=f"'{wraps}', which changes the network or reads files"):
        plan("tap")

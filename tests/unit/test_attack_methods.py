"""Attack methods: known answers, and what they do with stochastic victims and with images that are broken."""

import numpy as np
import pytest
import torch
import torchattacks
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from assay.attacks.methods import projected
from assay.attacks.methods.apgd import auto_pgd
from assay.attacks.methods.best import Best, as_stored
from assay.attacks.methods.losses import cross_entropy, named_loss, negative_margin
from assay.attacks.methods.method import build_search
from assay.attacks.methods.nes import estimated_gradient, pattern
from assay.attacks.perturbation import boundary
from assay.attacks.queries import Counted, answers, gradient_of_mean, mean_gradient, vote_margins
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.transfer import Bare
from assay.attacks.threats.victim import Query, Victim, judgement, search_query
from assay.evaluation.statistics.measures import majority
from assay.files import AssayError
from assay.logits import margin
from assay.study.attacks import LEAVING_DRAWS, AnyAttack, Attack

EPS, EPS_L2 = 8 / 255, 0.5
SIDE = 8
VALUES = 3 * SIDE**2

LINF = [("fgsm", {}), ("pgd", {}), ("apgd", {"steps": 40})]
L2 = [("pgdl2", {"steps": 40, "step_size": 0.5}), ("apgd", {"norm": "L2", "steps": 60})]


def attack_of(method: str, **keys: object) -> Attack:
    keys.setdefault("eps", [EPS_L2 if method == "pgdl2" or keys.get("norm") == "L2" else EPS])
    return TypeAdapter(AnyAttack).validate_python({"method": method} | keys)


def linear(classes: int = 2, scale: float = 1.0, seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(VALUES, classes)).requires_grad_(False)
    network[1].weight.data = scale * 0.05 * torch.randn(classes, VALUES, generator=generator)
    network[1].bias.data.zero_()
    return network


def curved(classes: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 36, classes))
    return network.eval().requires_grad_(False)


def batch(count: int = 8, classes: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Images of 8-bit values far from 0 and 255, so that no ball meets the box."""
    generator = torch.Generator().manual_seed(3)
    stored = torch.randint(100, 156, (count, 3, SIDE, SIDE), generator=generator)
    return stored / 255, torch.randint(0, classes, (count,), generator=generator), torch.arange(1, count + 1)


class Undisturbed(nn.Module):
    """A defended classifier whose defence is the identity."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, noise: object) -> Tensor:
        return self.network(x)


class Noisy(Undisturbed):
    """A defended classifier whose margin has additive noise: every point is as lucky as every other."""

    deviation = 3.0

    def forward(self, x: Tensor, noise: object) -> Tensor:
        luck = self.deviation * noise(0).flatten(1)[:, :1]
        return self.network(x) + torch.cat([luck, -luck], dim=1)


def behind(defended: nn.Module) -> Expected:
    return Expected(defended, defended, seed=1)


def run(attack: Attack, victim: Victim, images: Tensor, labels: Tensor, keys: Tensor, classes: int = 2) -> Tensor:
    torch.manual_seed(7)
    return build_search(attack, victim, classes)(images, labels, keys).detach()


def stored(found: Tensor, images: Tensor, attack: Attack) -> Tensor:
    return as_stored(found, images, attack)


def worst_case(network: nn.Sequential, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    """The lowest margin of a linear classifier of two classes in the ball."""
    difference = network[-1].weight[0] - network[-1].weight[1]
    reach = difference.abs().sum() if attack.ball == "Linf" else difference.norm()
    return margin(network(images), labels) - attack.radius * reach


# known answers


@pytest.mark.parametrize(("method", "keys"), LINF + L2)
@pytest.mark.parametrize("defended", [False, True])
def test_a_linear_classifier_is_attacked_to_its_worst_case(method: str, keys: dict, defended: bool) -> None:
    network, (images, labels, noise_keys) = linear(), batch()
    network[1].bias.data = torch.tensor([3.0, -3.0])
    labels = torch.zeros_like(labels)  # right by far: no image is broken and leaves before the worst case
    attack = attack_of(method, **keys | ({"threat": "adaptive"} if defended else {}))
    victim = behind(Undisturbed(network)) if defended else Bare(network)
    found = stored(run(attack, victim, images, labels, noise_keys), images, attack)
    rounding = 1e-5 if attack.ball == "Linf" else 1e-3  # 255 eps is whole: its corners are stored
    worst = worst_case(network, images, labels, attack)
    assert worst.min() > 0
    assert margin(network(found), labels) == pytest.approx(worst, abs=rounding)
    assert ((found - images).abs().amax((1, 2, 3)) > 0).all()


@pytest.mark.parametrize(("method", "keys"), [*LINF[:2], *L2[:1]])  # APGD looks at values, which are 1 everywhere
def test_outputs_that_are_saturated_probabilities_are_attacked_all_the_same(method: str, keys: dict) -> None:
    network, (images, labels, noise_keys) = linear(), batch()
    network[1].weight.data[1] = -network[1].weight[0]  # of the right class's probability the gradient is lost
    network[1].bias.data = torch.tensor([15.0, -15.0])
    labels = torch.zeros_like(labels)
    saturated = nn.Sequential(network, nn.Softmax(dim=1))
    assert (saturated(images)[:, 0] == 1).all()
    attack = attack_of(method, **keys)
    found = run(attack, Bare(saturated), images, labels, noise_keys)
    worst = worst_case(network, images, labels, attack)
    assert margin(network(found), labels) == pytest.approx(worst, abs=5e-3)


@pytest.mark.parametrize("loss", ["margin", "ce", "dlr"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_apgd_lowers_the_margin_with_each_loss(loss: str, norm: str) -> None:
    network, (images, _, keys) = curved(), batch(classes=4)
    labels = network(images).argmax(1)
    attack = attack_of("apgd", norm=norm, loss=loss, steps=15)
    found = run(attack, Bare(network), images, labels, keys, classes=4)
    control = run(attack_of("random_sign"), Bare(network), images, labels, keys)
    assert (margin(network(found), labels) < margin(network(images), labels)).all()
    assert (margin(network(found), labels) < margin(network(control), labels)).all()


def test_dlr_is_refused_for_two_classes_and_is_the_papers_for_three() -> None:
    with pytest.raises(AssayError, match="loss: dlr needs three classes or more, the classifier has 2"):
        named_loss("dlr", 2)
    logits, labels = torch.tensor([[4.0, 1.0, 2.0, 3.0], [1.0, 4.0, 3.0, 0.0]]), torch.tensor([0, 0])
    # -(z_y - the highest other) / (the highest - the third highest), by hand
    assert named_loss("dlr", 4)(logits, labels) == pytest.approx(torch.tensor([-1 / 2, 3 / 3]))


def test_eps_zero_leaves_the_image() -> None:
    images, labels, keys = batch()
    for method, keys_of_attack in [*LINF, *L2, ("nes", {}), ("nes", {"norm": "L2"})]:
        attack = attack_of(method, **keys_of_attack, eps=[0.0])
        assert torch.equal(run(attack, Bare(linear()), images, labels, keys), images)


# torchattacks, where it is right


@pytest.mark.parametrize(("method", "classes"), [("pgd", 4), ("pgd", 2), ("pgdl2", 4), ("pgdl2", 2)])
@pytest.mark.parametrize("random_start", [False, True])
def test_own_pgd_equals_torchattacks_from_the_same_start(
    method: str, classes: int, random_start: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, (images, labels, keys) = curved(classes), batch(classes=classes)
    plain = {"loss": "ce", "momentum": 0.0, "decay": "none"}
    size = 2.5 * (EPS if method == "pgd" else EPS_L2) / 6
    attack = attack_of(method, steps=6, random_start=random_start, step_size=size, **plain)
    starts = []
    theirs = {"pgd": torchattacks.PGD, "pgdl2": torchattacks.PGDL2}[method](
        lambda_module(network, starts), attack.radius, size, 6, random_start
    )
    torch.manual_seed(7)
    expected = theirs(images, labels)
    monkeypatch.setattr(projected, "random_point", lambda *_: starts[0])
    search = projected.projected_gradient(attack, Bare(network), classes, seed=0)
    found = search(images, labels, keys)
    if method == "pgd":
        assert torch.equal(found, expected)
    else:
        assert torch.allclose(found, expected, atol=1e-5)


def lambda_module(network: nn.Module, seen: list[Tensor]) -> nn.Module:
    """The network, which notes what it is asked."""

    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach().clone())
            return self.network(x)

    return Noting().eval()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("steps", [1, 7, 60])
def test_apgds_run_equals_torchattacks_from_the_same_start(norm: str, steps: int) -> None:
    network, (images, _, keys) = curved(), batch(classes=4)
    labels = network(images).argmax(1)
    seen: list[Tensor] = []
    eps = {"Linf": 3 * EPS, "L2": 2 * EPS_L2}[norm]
    theirs = torchattacks.APGD(lambda_module(network, seen), norm=norm, eps=eps, steps=steps, loss="ce")
    torch.manual_seed(7)
    expected, _, loss, _ = theirs.attack_single_run(images, labels)
    points = []

    def observe(x: Tensor) -> tuple[Tensor, Tensor]:
        points.append(x)
        return mean_gradient(Bare(network), x, labels, keys, search_query(0, 1), cross_entropy, room=len(x))

    found = auto_pgd(observe, lambda: None, seen[0], images, norm, eps, steps)
    assert len(points) == len(seen) == steps + 1
    for own, other in zip(points, seen, strict=True):
        assert torch.allclose(own, other, atol=1e-3)
    assert torch.allclose(found, expected, atol=1e-3)
    assert torch.allclose(cross_entropy(network(found), labels), loss, atol=1e-3)


# stochastic victims


class Scripted(Victim):
    """A victim that is judged with margins written down: one list of draws a point, the point being its mean value.

    The points that are `unlucky` have one draw right among those that images must have wrong before they leave.
    """

    def __init__(self, script: dict[int, list[float]], unlucky: set[int]) -> None:
        super().__init__()
        self.script, self.unlucky = script, unlucky
        self.asked: list[tuple[str, int, int]] = []

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        levels = (x.mean((1, 2, 3)) * 255).round().int().tolist()
        if query.purpose == "selection":
            margins = torch.tensor([self.script[level] for level in levels])
        else:
            right = torch.tensor(query.draws) == LEAVING_DRAWS - 1
            margins = torch.stack([torch.where(right & (level in self.unlucky), 1.0, -1.0) for level in levels])
            self.asked += [(query.purpose, levels[0], len(query.draws))]
        return torch.stack([margins, torch.zeros_like(margins)], dim=2)


def flat(*levels: int) -> Tensor:
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 3, SIDE, SIDE) / 255


def test_the_best_point_is_by_mean_margin_and_one_lucky_draw_breaks_nothing() -> None:
    script = {101: [-9.0, 9.0, 9.0, 9.0], 102: [1.0, 1.0, 1.0, 1.0], 103: [-1.0, -1.0, -1.0, 0.1]}
    script |= {104: [-0.1, -0.1, -9.0, -9.0], 105: [-1.0, -1.0, -1.2, -1.2], 106: [-9.0] * 4}
    attack = attack_of("pgd", threat="adaptive", eps=[16 / 255], selection_draws=4)
    victim = Scripted(script, unlucky={104})
    best = Best(victim, attack, flat(100), torch.tensor([0]), torch.tensor([1]))
    seen = []
    for level in (102, 101, 103, 104, 105, 106):
        best.judge(flat(level))
        seen.append((round(255 * best.points.mean().item()), bool(best.broken)))
    # 101 has one lucky draw; 103 one unlucky one, and 104 one of the many that are asked then; 105 has none
    assert seen == [(102, False), (102, False), (103, False), (104, False), (105, True), (105, True)]
    assert sum(draws for _, level, draws in victim.asked if level == 105) == LEAVING_DRAWS
    purposes = [{purpose for purpose, level, _ in victim.asked if level == point} for point in (104, 105)]
    assert purposes[0].isdisjoint(purposes[1]), "fresh draws for each point"


def test_no_image_leaves_where_the_attack_is_told_so() -> None:
    attack = attack_of("pgd", threat="adaptive", eps=[16 / 255], selection_draws=4, early_leaving=False)
    best = Best(Scripted({101: [-9.0] * 4}, set()), attack, flat(100), torch.tensor([0]), torch.tensor([1]))
    best.judge(flat(101))
    assert not best.broken


def test_a_stochastic_victim_is_attacked_to_its_expected_worst_case_and_not_to_its_luckiest_draw() -> None:
    network, (images, labels, keys) = linear(), batch(16)
    victim, truth = behind(Noisy(network)), worst_case(network, images, labels, attack_of("pgd"))
    for method in ("pgd", "apgd"):
        attack = attack_of(method, threat="adaptive", steps=20, draws=4)
        found = stored(run(attack, victim, images, labels, keys), images, attack)
        reached = margin(network(found), labels)
        broken = reached + Noisy.deviation < 0  # may leave before the worst case
        assert reached[~broken] == pytest.approx(truth[~broken], abs=1e-4)
        assert (~broken).sum() > 10
    runner = torchattacks.APGD(Asked(victim, keys, draws=4), eps=EPS, steps=20, loss="ce")
    torch.manual_seed(7)
    _, _, _, lucky = runner.attack_single_run(images, labels)
    assert (margin(network(lucky), labels) > truth + 0.1).any()  # what keeps the last fooling iterate falls short


class Asked(nn.Module):
    """A victim as a network, for torchattacks: mean logits of one fresh query after the other."""

    def __init__(self, victim: Victim, keys: Tensor, draws: int) -> None:
        super().__init__()
        self.victim, self.keys, self.draws = victim, keys, draws
        self.number = -1

    def forward(self, x: Tensor) -> Tensor:
        self.number += 1
        return self.victim(x, self.keys, search_query(self.number, self.draws)).mean(1)


def test_gradients_of_draws_in_turn_add_up_to_the_gradient_of_all() -> None:
    images, labels, keys = batch(4)
    shapes = []

    class Defence(Noisy):
        def forward(self, x: Tensor, noise: object) -> Tensor:
            shapes.append(len(x))
            return self.network((x + 0.1 * noise(0)).clamp(0, 1))

    victim, query = Expected(Defence(curved(2)), nn.Identity(), seed=1), search_query(3, 6)
    value, gradient = mean_gradient(victim, images, labels, keys, query, negative_margin, room=4)
    assert shapes == [4] * 6
    leaf = images.clone().requires_grad_()
    mean = victim(leaf, keys, query).mean(1)
    with_all = negative_margin(mean, labels)  # of two classes: the margin of the mean is the mean margin
    assert torch.allclose(value, with_all, atol=1e-5)
    assert torch.allclose(gradient, torch.autograd.grad(with_all.sum(), leaf)[0], atol=1e-6)
    shapes.clear()
    part = mean_gradient(victim, images[2:3], labels[2:3], keys[2:3], query, negative_margin, room=4)
    assert shapes == [4, 2]
    assert torch.allclose(part[1], gradient[2:3], atol=1e-6)
    assert torch.allclose(part[0], value[2:3], atol=1e-5)


def test_a_victim_is_a_function_the_same_call_has_the_same_answer() -> None:
    images, _, keys = batch(4)
    victim = behind(Noisy(linear()))
    calls = [search_query(0, 3), search_query(1, 3), judgement("selection", 5), judgement("verdict", 5)]
    first = [victim(images, keys, query) for query in calls]
    for query, before in reversed(list(zip(calls, first, strict=True))):
        assert torch.equal(victim(images, keys, query), before)
        assert before.shape == (4, len(query.draws), 2)
    assert not torch.equal(first[0], first[1])
    in_turn = answers(victim, images, keys, calls[2], room=4)  # a CPU may order the sums of smaller batches otherwise
    assert torch.allclose(in_turn, first[2], atol=1e-5)


def test_queries_and_judgements_never_share_a_draw() -> None:
    images, _, keys = batch(2)
    noises = []

    class Noting(Undisturbed):
        def forward(self, x: Tensor, noise: object) -> Tensor:
            noises.append(noise(0))
            return self.network(x)

    victim = behind(Noting(linear()))
    for number in range(90):
        victim(images, keys, search_query(number, 3))
    victim(images, keys, judgement("selection", 5))
    victim(images, keys, judgement("verdict", 5))
    values = torch.cat(noises)
    assert len(values) == 2 * (3 * 90 + 5 + 5)
    assert len(torch.unique(values[:, 0, 0, 0])) == len(values)
    noises.clear()
    victim(images, keys, judgement("selection", 5))
    assert torch.isin(torch.cat(noises)[:, 0, 0, 0], values[:, 0, 0, 0]).all()  # the same at every call


@pytest.mark.parametrize("method", ["pgd", "apgd"])
def test_an_attack_chooses_among_points_on_draws_that_it_did_not_follow(method: str) -> None:
    images, labels, keys = batch(4)
    met: dict[str, list[Tensor]] = {"attacked": [], "judged": []}

    class Noting(Undisturbed):
        def __init__(self, name: str) -> None:
            super().__init__(linear(scale=0.01))
            self.name = name

        def forward(self, x: Tensor, noise: object) -> Tensor:
            met[self.name].append(noise(0)[:, 0, 0, 0])
            return self.network(x)

    victim = Expected(Noting("attacked"), Noting("judged"), seed=1)
    attack = attack_of(method, threat="adaptive", draws=3, steps=6, early_leaving=False)
    run(attack, victim, images, labels, keys)
    followed, chosen_on = (torch.cat(met[name]).unique() for name in ("attacked", "judged"))
    assert len(followed) > len(chosen_on) == 4 * 4  # fresh ones at each query, the same four at each judgement
    assert not torch.isin(followed, chosen_on).any()


# images that are broken


def mixed(count: int = 16) -> tuple[Tensor, Tensor]:
    """Images and labels of which a linear classifier gets some wrong at once, some after a while, some never."""
    images, labels, _ = batch(count)
    return images + torch.linspace(-40, 40, count).round().view(-1, 1, 1, 1) / 255, labels


STOCHASTIC = [
    attack_of("pgd", threat="adaptive", draws=2, eps=[2 * EPS]),
    attack_of("apgd", threat="adaptive", draws=2, eps=[2 * EPS], restarts=2),
    attack_of("pgdl2", threat="adaptive", draws=2),
]


@pytest.mark.parametrize("attack", STOCHASTIC, ids=lambda attack: attack.method)
def test_what_becomes_of_an_image_does_not_depend_on_the_others(attack: Attack) -> None:
    # Not bitwise: a matrix product over other rows may round otherwise, and a sign may turn at a gradient of zero.
    (images, labels), keys = mixed(), torch.arange(1, 17)
    victim = behind(small_noise(curved(2)))
    together = stored(run(attack, victim, images, labels, keys), images, attack)
    for index in range(0, 16, 3):
        one = slice(index, index + 1)
        alone = stored(run(attack, victim, images[one], labels[one], keys[one]), images[one], attack)
        for found in (together[one], alone):
            assert (found - images[one]).abs().max() > 0
        margins = [verdict(victim, found, labels[one], keys[one]) for found in (together[one], alone)]
        assert margins[0] == pytest.approx(margins[1], abs=1e-3)
        assert (margins[0] < 0) == (margins[1] < 0)


def small_noise(network: nn.Module) -> nn.Module:
    class Defence(Undisturbed):
        def forward(self, x: Tensor, noise: object) -> Tensor:
            return self.network((x + 0.02 * noise(0)).clamp(0, 1))

    return Defence(network)


def verdict(victim: Victim, found: Tensor, labels: Tensor, keys: Tensor) -> float:
    return margin(victim(found, keys, judgement("verdict", 16))[0], labels.repeat(16)).mean().item()


@pytest.mark.parametrize("attack", STOCHASTIC, ids=lambda attack: attack.method)
def test_broken_images_leave_by_halves_and_cost_no_more(attack: Attack) -> None:
    (images, labels), keys = mixed(), torch.arange(1, 17)
    sizes = []

    class Noting(Counted):
        def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
            if not query.judges:
                sizes.append(len(x))
            assert len(x) * len(query.draws) <= 16
            return super().forward(x, keys, query)

    victim = Noting(behind(small_noise(curved(2))))
    run(attack, victim, images, labels, keys)
    assert set(sizes) <= {16, 8, 4, 2, 1}
    assert min(sizes) < 16
    assert victim.with_gradient < 16 * attack.passes[0]


def test_an_image_is_not_broken_until_it_is_so_on_the_storage_grid() -> None:
    images = flat(100)
    network = nn.Sequential(nn.Flatten(), nn.Linear(VALUES, 2)).requires_grad_(False)
    network[1].weight.data = torch.stack([torch.full((VALUES,), -1.0), torch.zeros(VALUES)])
    network[1].bias.data = torch.tensor([100.3 / 255 * VALUES, 0.0])  # wrong from 0.3 grey levels up
    keys = {"step_size": 0.4 / 255, "random_start": False, "decay": "none"}
    attack = attack_of("pgd", threat="locked", eps=[1 / 255], steps=3, **keys)
    victim = Counted(Bare(network))
    found = run(attack, victim, images, torch.tensor([0]), torch.tensor([1]))
    assert victim.with_gradient == 2  # 0.4 levels fool the network and are stored as none; 0.8 as one
    assert margin(network(stored(found, images, attack)), torch.tensor([0])) < 0


def test_images_that_fool_the_bare_classifier_go_on_since_others_are_shown_them_too() -> None:
    (images, labels), keys = mixed(), torch.arange(1, 17)
    network = linear()
    victim, attack = Counted(Bare(network)), attack_of("apgd", steps=30)
    found = stored(run(attack, victim, images, labels, keys), images, attack)
    assert victim.with_gradient == 31 * 16
    reached, worst = margin(network(found), labels), worst_case(network, images, labels, attack)
    assert reached == pytest.approx(worst, abs=1e-4)


def test_a_random_start_is_the_images_own() -> None:
    images, labels, keys = batch()
    attack = attack_of("apgd", steps=1, norm="L2")
    victim = Bare(linear())
    whole = run(attack, victim, images, labels, keys)
    assert torch.allclose(run(attack, victim, images[3:5], labels[3:5], keys[3:5]), whole[3:5], atol=1e-6)
    other = build_search(attack, victim, 2, seed=5)(images, labels, keys)
    assert not torch.allclose(other, whole, atol=1e-3)


def test_values_that_are_not_finite_stop_the_attack() -> None:
    images, labels, keys = batch()
    victim = behind(Undisturbed(nn.Sequential(linear(), nn.Threshold(-1e9, 0.0))))
    victim.judged.network[0][1].bias.data[0] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        run(attack_of("apgd", threat="adaptive"), victim, images, labels, keys)


def test_the_share_at_the_boundary_counts_walls_and_the_edges_of_the_range() -> None:
    clean = np.full((2, 2, 2, 3), 100, np.uint8)
    attacked = clean.copy()
    attacked[0, 0, 0] = [102, 98, 101]
    attacked[0, 1, 1, 0] = 0
    assert boundary(attacked, clean, 2 / 255) == pytest.approx([3 / 12, 0])


# square


def test_square_behind_a_defence_lowers_the_mean_margin_and_drops_no_image() -> None:
    network, (images, labels, keys) = linear(), batch(16)
    network[1].weight.data = network[1].weight.view(2, 3, SIDE, SIDE)[:, :, :1].repeat(1, 1, SIDE, 1).flatten(1)
    labels = network(images).argmax(1)
    attack = attack_of("square", threat="blackbox", queries=60, draws=4)
    Gentle = type("Gentle", (Noisy,), {"deviation": 0.02})
    victim = Counted(behind(Gentle(network)))
    found = run(attack, victim, images, labels, keys)
    assert ((found - images).abs() <= EPS + 1e-6).all()
    assert (victim.with_gradient, victim.without_gradient) == (0, 16 * 4 * 61)
    blind = run(attack_of("random_sign"), victim, images, labels, keys)
    clean, random, after = (margin(network(x), labels).mean() for x in (images, blind, found))
    assert after < min(clean, random) - 3 * Gentle.deviation


def test_square_behind_the_identity_goes_where_it_goes_undefended() -> None:
    network, (images, _, keys) = curved(), batch(16, classes=4)
    labels = network(images).argmax(1)
    bare = run(attack_of("square", queries=50), Bare(network), images, labels, keys)
    blackbox = attack_of("square", threat="blackbox", queries=50)
    defended = run(blackbox, behind(Undisturbed(network)), images, labels, keys)
    fooled = network(bare).argmax(1) != labels
    assert torch.equal(network(defended).argmax(1) != labels, fooled)
    assert 0 < fooled.sum() < 16
    assert torch.allclose(defended[~fooled], bare[~fooled], atol=1e-6)


# natural evolution strategies


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_nes_follows_the_mean_of_what_random_directions_say_of_the_slope(norm: str) -> None:
    network, (images, labels, keys) = linear(), batch()
    attack = attack_of("nes", norm=norm, directions=6, threat="blackbox")
    found = estimated_gradient(attack, Bare(network), labels, keys, negative_margin, seed=3)(images, torch.arange(8))
    rows = network[1].weight.view(2, 3, SIDE, SIDE)
    slope = rows[1 - labels] - rows[labels]  # of a linear classifier's margin, the same everywhere
    wanted = torch.zeros_like(slope)
    for number in range(6):
        u = pattern(images, keys, 3, number)
        u = u / (u.flatten(1).norm(dim=1).view(-1, 1, 1, 1) if norm == "L2" else 1)
        wanted += 2 * 0.25 * attack.radius * u * (u * slope).sum((1, 2, 3), keepdim=True) / 6
    assert torch.allclose(found, wanted, atol=1e-3 * float(wanted.abs().max()))


def test_directions_of_nes_are_signs_of_blocks_and_the_images_own() -> None:
    images, _, keys = batch()
    for number, block in enumerate((2, 1, 1, 1, 2)):  # 4, 8, 16 and all blocks along a side of 8 pixels, and again
        found = pattern(images, keys, 0, number)
        assert set(found.unique().tolist()) == {-1.0, 1.0}
        corners = found[:, :, ::block, ::block]
        blocks = corners.repeat_interleave(block, 2).repeat_interleave(block, 3)
        assert torch.equal(found, blocks)
        assert len(corners.flatten(1).unique(dim=0)) == len(keys)
        assert torch.equal(pattern(images[2:5], keys[2:5], 0, number), found[2:5])


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_nes_asks_for_no_gradient_and_leaves_less_than_chance(norm: str) -> None:
    network, (images, _, keys) = curved(), batch(16, classes=4)
    labels = network(images).argmax(1)
    attack = attack_of("nes", norm=norm, threat="blackbox", steps=12, early_leaving=False)
    victim = Counted(behind(small_noise(network)))
    found = stored(run(attack, victim, images, labels, keys, classes=4), images, attack)
    gradients, asked = attack.passes
    assert (victim.with_gradient, victim.without_gradient) == (0, 16 * (asked - attack.selection))
    assert gradients == 0
    if norm == "Linf":
        blind = run(attack_of("random_sign"), victim, images, labels, keys)
        assert (margin(network(found), labels) < margin(network(blind), labels)).all()
    size = (found - images).flatten(1).norm(dim=1) if norm == "L2" else (found - images).abs().amax((1, 2, 3))
    assert size.max() < attack.radius + 1e-6
    assert (margin(network(found), labels) < margin(network(images), labels)).all()


# the config


def fault(**keys: object) -> str:
    with pytest.raises(ValidationError) as raised:
        attack_of(**keys)
    return str(raised.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"method": "pgd", "threat": "blackbox"}, "threat: blackbox does not suit pgd, which follows gradients"),
        ({"method": "square", "threat": "bpda"}, "threat: bpda does not suit square, which uses no gradient"),
        ({"method": "random_sign", "threat": "adaptive"}, "is blind to the victim; choose among transfer"),
        ({"method": "pgd", "draws": 2}, "draws: under the threat transfer a victim has one draw"),
        ({"method": "pgd", "threat": "locked", "draws": 2}, "draws: under the threat locked a victim has one draw"),
        ({"method": "pgd", "selection_draws": 4}, "selection_draws: under the threat transfer a victim has"),
        (
            {"method": "pgd", "threat": "locked", "selection_draws": 4},
            "selection_draws: under the threat locked a victim",
        ),
        ({"method": "pgd", "threat": "adaptive", "selection_draws": 1}, "greater than or equal to 2"),
        ({"method": "nes", "threat": "adaptive"}, "threat: adaptive does not suit nes, which uses no gradient"),
        ({"method": "nes", "threat": "blackbox", "draws": 2}, "draws: each direction of nes has a draw of its own"),
        ({"method": "pgd", "threat": "surrogate"}, "threat.surrogate.steps"),
        ({"method": "pgd", "threat": {"method": "bpda", "steps": 2}}, "threat.bpda.steps"),
        ({"method": "pgd", "threat": "adaptiv"}, "'adaptiv' is not among transfer, blackbox, bpda"),
        ({"method": "apgd", "loss": "dlr", "target": "random"}, "loss: dlr here has no target"),
        ({"method": "random_sign", "target": "random"}, "target"),
        ({"method": "pgd", "objective": "majority"}, "objective: a majority needs a threat with fresh noise"),
        (
            {"method": "pgd", "threat": "adaptive", "draws": 2, "objective": "majority"},
            "and 3 draws or more, this attack has 2; set draws, or remove objective",
        ),
        ({"method": "fgsm", "threat": "adaptive", "draws": 4, "objective": "majority"}, "objective"),
        ({"method": "pgd", "preset": "slow"}, "'quick', 'standard' or 'thorough'"),
        ({"method": "fgsm", "preset": "quick"}, "preset"),
    ],
)
def test_keys_that_make_no_sense_are_refused(keys: dict, message: str) -> None:
    assert message in fault(**keys)


def test_a_preset_is_numbers_and_explicit_keys_win() -> None:
    thorough = attack_of("apgd", threat="adaptive", preset="thorough")
    assert (thorough.steps, thorough.draws) == (200, 20)
    assert attack_of("pgd", preset="standard").draws == 1
    mixed = attack_of("pgd", threat="bpda", preset="quick", steps=7)
    assert (mixed.steps, mixed.draws) == (7, 6)
    explicit = attack_of("pgd", threat="bpda", steps=7, draws=6)
    assert mixed.model_dump() == explicit.model_dump()
    assert TypeAdapter(AnyAttack).validate_json(mixed.model_dump_json()) == explicit


# the majority vote as the objective


def test_the_vote_margin_counts_draws_and_the_mean_logits_break_ties() -> None:
    logits = torch.tensor(
        [
            [[9.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],  # 1 vote against 2 and 1
            [[9.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]],  # 2 against 2, the mean is right
            [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 9.0, 0.0]],  # 2 against 2, the mean is wrong
            [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]],  # 2 against 1 and 1
        ]
    )
    found = vote_margins(logits, torch.zeros(4, dtype=torch.long))
    assert found == pytest.approx(torch.tensor([-0.25, 0.0, 0.0, 0.25]), abs=1 / 8)
    assert (found > 0).tolist() == [False, True, False, True]
    assert ((found > 0).numpy() == (majority(logits.numpy()) == 0)).all(), "as the vote is judged"


def test_the_gradient_of_a_vote_is_that_of_the_loss_of_the_mean_logits() -> None:
    images, labels, keys = batch(4, classes=3)
    shapes = []

    class Defence(Noisy):
        def forward(self, x: Tensor, noise: object) -> Tensor:
            shapes.append(len(x))
            return self.network((x + 0.3 * noise(0)).clamp(0, 1))

    victim, query = Expected(Defence(curved(3)), nn.Identity(), seed=1), search_query(2, 6)
    for loss in (negative_margin, cross_entropy):
        shapes.clear()
        value, gradient = gradient_of_mean(victim, images, labels, keys, query, loss, room=8)
        assert shapes == [8] * 6, "three queries without gradient, three with it, two draws each"
        leaf = images.clone().requires_grad_()
        whole = loss(victim(leaf, keys, query).mean(1), labels)
        assert torch.allclose(value, whole, atol=1e-5)
        assert torch.allclose(gradient, torch.autograd.grad(whole.sum(), leaf)[0], atol=1e-6)


MIDDLE = 128 / 255


class Divided(nn.Module):
    """A defended classifier of three classes, whose first class is right.

    Raising the first value fools half of the draws by far, into two classes; lowering it fools all, into one, narrowly.
    """

    def forward(self, x: Tensor, noise: object) -> Tensor:
        push, draw = (x[:, 0, 0, 0] - MIDDLE) / EPS, noise(0)[:, 0, 0, 0]
        up, down = push.clamp_min(0), -push.clamp_max(0)
        second = 1.5 * down + 9 * up * (draw < -0.6745)  # a quarter of the draws
        return torch.stack([torch.ones_like(push), second, 9 * up * (draw > 0.6745)], dim=1)


@pytest.mark.parametrize("method", ["pgd", "apgd"])
def test_an_attack_on_the_vote_wins_it_where_the_mean_margin_falls_elsewhere(method: str) -> None:
    images, victim, keys = torch.full((1, 3, SIDE, SIDE), MIDDLE), behind(Divided()), torch.tensor([5])
    many = {"threat": "adaptive", "steps": 10, "draws": 24, "restarts": 4, "early_leaving": False}

    def winner(label: int, **more: object) -> int:
        attack = attack_of(method, **many, **more)
        found = stored(run(attack, victim, images, torch.tensor([label]), keys, classes=3), images, attack)
        return int(majority(answers(victim, found, keys, judgement("verdict", 101), room=101).numpy())[0])

    assert winner(0) == 0
    assert winner(0, objective="majority") == 1
    assert winner(1, objective="majority", target="random") == 1

"""A defence that votes: its answer, its noise, what attacks follow and what is stored."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from assay.defended import Defended, mean_logits
from assay.evaluation.classify import answered, voted
from assay.evaluation.probes.active import single_draws
from assay.logits import majority
from assay.noise import step_noise
from assay.planning.jobs import Jobs
from assay.study.parse import parse_study

VOTES = 5


def study(**keys: object):
    return parse_study(
        {
            "study": "s",
            "images": {"source": "phantom", "size": 16, "train": 16, "validation": 16},
            "classifiers": {"net": {"network": "timm/resnet18", "epochs": 1}},
            "purifiers": {"noise": {"method": "noise", "sigmas": [0.1], **keys}},
            "evaluation": {"images": 8, "draws": 2, "batch_size": 4},
        },
        "s.yaml",
    )


def test_the_majority_is_the_class_that_most_draws_answer() -> None:
    logits = torch.randn(500, VOTES, 4, generator=torch.Generator().manual_seed(0)) * 3
    counts = np.stack([np.bincount(row, minlength=4) for row in logits.argmax(2).numpy()])
    found = majority(logits)
    assert torch.isfinite(found).all()
    clear = np.sort(counts, axis=1)[:, -1] > np.sort(counts, axis=1)[:, -2]
    assert np.array_equal(found.argmax(1).numpy()[clear], counts.argmax(1)[clear])
    assert 0 < (~clear).sum() < 200
    means = np.where(counts == counts.max(1, keepdims=True), logits.softmax(2).mean(1).numpy(), -1)
    assert np.array_equal(found.argmax(1).numpy(), means.argmax(1)), "among equals the mean probability decides"


def test_the_majority_of_certain_votes_is_finite() -> None:
    assert torch.isfinite(majority(torch.tensor([[[1e4, -1e4], [1e4, -1e4]]]))).all()


def test_votes_have_noise_of_their_own_and_two_draws_share_none() -> None:
    x = torch.zeros(2, 3, 4, 4)
    single = [step_noise(0, [7, 8], [draw, draw], x)(1) for draw in range(2 * VOTES)]
    for draw in (0, 1):
        noise = step_noise(0, [7, 8], [draw, draw], x)
        for vote in range(VOTES):
            assert torch.equal(noise.vote(vote, VOTES)(1), single[draw * VOTES + vote])


class Linear(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3))
        return 100 * (means - means.mean(1, keepdim=True))


def test_a_voting_defence_answers_with_the_majority_and_is_followed_by_the_mean() -> None:
    x = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.1

    def purify(x: Tensor, noise) -> Tensor:
        return x + 0.3 * noise(0)

    noise = step_noise(0, range(6), [3] * 6, x)
    each = [Linear()(purify(x, step_noise(0, range(6), [3 * VOTES + vote] * 6, x))) for vote in range(VOTES)]
    judged, followed = Defended(purify, Linear(), VOTES), Defended(purify, Linear(), VOTES, mean_logits)
    assert torch.equal(judged(x, noise), majority(torch.stack(each, dim=1)))
    assert torch.allclose(followed(x, noise), torch.stack(each).mean(0))
    leaf = x.clone().requires_grad_()
    assert torch.autograd.grad(followed(leaf, noise)[:, 0].sum(), leaf)[0].abs().min() > 0
    with single_draws(judged):
        assert torch.equal(judged(x, noise), Linear()(purify(x, noise)))
    assert judged.votes == VOTES


@pytest.mark.parametrize("size", [1, 3, 5, 7, 40])
def test_stored_votes_are_counted_whatever_the_batches(size: int) -> None:
    logits = np.random.default_rng(0).normal(size=(8 * VOTES, 3)).astype("float32")
    chunks = [logits[start : start + size] for start in range(0, len(logits), size)]
    found = np.concatenate(list(voted(chunks, VOTES)))
    assert np.array_equal(found, majority(torch.from_numpy(logits).view(8, VOTES, 3)).numpy())
    assert np.array_equal(np.concatenate(list(voted(chunks, 1))), logits)


def test_the_rows_of_votes_become_those_of_answers() -> None:
    rows = pd.DataFrame({"id": np.repeat(["a", "b"], 6), "label": np.repeat([0, 1], 6), "draw": [*range(6), *range(6)]})
    assert answered(rows, 3).to_numpy().tolist() == [["a", 0, 0], ["a", 0, 1], ["b", 1, 0], ["b", 1, 1]]
    assert answered(rows, 1) is rows


def test_without_votes_no_spec_changes_and_with_them_both_stages_know() -> None:
    wildcards = {"role": "", "attacked": "clean", "purifier": "noise", "sigma": "0.1"}
    plain, voting = Jobs(study()), Jobs(study(votes=VOTES))
    for jobs, said in ((plain, False), (voting, True)):
        for text in (jobs.job("purify", **wildcards).text, jobs.job("classify", classifier="net", **wildcards).text):
            assert ('"votes":5' in text.replace(" ", "")) is said
            assert ("votes" in text) is said

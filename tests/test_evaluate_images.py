"""Evaluation of images: every figure moves the right way when images are damaged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from lesions import phantoms

from synthehr.errors import ConfigError, InputError
from synthehr.evaluation.images.augmentation import augmentation_gain
from synthehr.evaluation.images.copies import exact_copies, exact_repeats
from synthehr.evaluation.images.evaluate import evaluate_images
from synthehr.evaluation.images.features import Features, domain_classifier, pixels_pca, random_net
from synthehr.evaluation.images.frechet import frechet, frechet_distance
from synthehr.evaluation.images.kernel import kernel_distance
from synthehr.evaluation.images.manifold import manifold
from synthehr.evaluation.images.memorisation import memorisation
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.images.report import ImageEvaluation
from synthehr.evaluation.images.segmentation import dice, learn_masks, overlap
from synthehr.evaluation.images.sides import named
from synthehr.evaluation.images.sliced import sliced_wasserstein
from synthehr.evaluation.images.ssim import diversity, ms_ssim, scales_of
from synthehr.evaluation.images.transfer import learned, read_by

N = 128
TRAINED, UNSEEN, GOOD = phantoms(N, 1), phantoms(N, 2), phantoms(N, 3)
WHO = (np.arange(N), np.arange(N))


def noisy(images: ImageRecords) -> ImageRecords:
    rng = np.random.default_rng(0)
    return replace(images, pixels=rng.integers(0, 256, images.pixels.shape).astype(np.uint8))


def blurred(images: ImageRecords) -> ImageRecords:
    wide = images.pixels.astype(np.float64)
    for axis in (2, 3):
        wide = sum(np.roll(wide, shift, axis) for shift in range(-2, 3)) / 5
    return replace(images, pixels=wide.round().astype(np.uint8))


def one_class(images: ImageRecords) -> ImageRecords:
    assert images.labels is not None
    return images.take(np.flatnonzero(images.labels == 0)[np.arange(N) % (N // 2)])


BAD = {"noise": noisy(GOOD), "blur": blurred(GOOD), "one class": one_class(GOOD)}


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def domain() -> Features:
    return domain_classifier(TRAINED, UNSEEN, 0)


@pytest.fixture(scope="module")
def whole() -> ImageEvaluation:
    return evaluate_images(TRAINED, GOOD, UNSEEN, seed=0)


def test_the_domain_classifier_learns_and_is_named_by_its_hash(domain: Features) -> None:
    assert domain.accuracy is not None and domain.accuracy > 0.9
    assert domain.chance == 0.5
    assert len(domain.sha256) == 64
    found = domain(TRAINED)
    assert found.shape == (N, domain.width)
    assert found.mean(axis=0) == pytest.approx(np.zeros(domain.width), abs=1e-3)
    assert found.var(axis=0).mean() == pytest.approx(1, abs=1e-3)


def test_without_labels_it_learns_which_way_up_images_are() -> None:
    one_way = phantoms(60, 4)
    shaded = one_way.pixels // 2 + np.arange(16, dtype=np.uint8)[:, None] * 7
    images = ImageRecords(pixels=shaded)
    found = domain_classifier(images.take(np.arange(40)), images.take(np.arange(40, 60)), 0)
    assert found.name == "domain-rotation"
    assert found.accuracy is not None and found.accuracy > 0.8


@pytest.mark.parametrize("damage", list(BAD))
def test_distances_are_least_between_real_images(domain: Features, damage: str) -> None:
    unseen, good, bad = domain(UNSEEN), domain(GOOD), domain(BAD[damage])
    for measure in (frechet, sliced_wasserstein):
        near, far = (measure(each, unseen, WHO, generator()) for each in (good, bad))
        assert near.low <= near.value <= near.high
        assert near.value < 0.5 * far.value
    near, far = (kernel_distance(each, unseen, WHO, generator()) for each in (good, bad))
    assert near.distance.high < far.distance.low


@pytest.mark.parametrize("damage", ["noise", "blur"])
def test_pixels_and_a_random_net_see_damage_too(damage: str) -> None:
    for features in (pixels_pca(TRAINED), random_net(TRAINED, 0)):
        unseen, good, bad = features(UNSEEN), features(GOOD), features(BAD[damage])
        assert frechet_distance(good, unseen) < 0.5 * frechet_distance(bad, unseen)


def test_the_frechet_distance_is_the_textbook_one() -> None:
    from scipy.linalg import sqrtm

    rng = generator()
    x = rng.normal(size=(300, 5)).astype(np.float32)
    y = (rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5)) + 1).astype(np.float32)
    a, b = (np.cov(each.T.astype(np.float64), bias=True) for each in (x, y))
    far = x.mean(axis=0) - y.mean(axis=0)
    expected = far @ far + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(x, y) == pytest.approx(expected / 5, rel=1e-4)


def test_the_kernel_distance_is_unbiased_and_leaves_a_patients_own_pairs_out() -> None:
    rng = generator()
    draws = [
        kernel_distance(*rng.normal(size=(2, 50, 4)).astype(np.float32),
                        (np.arange(50), np.arange(50)), rng).distance.value
        for _ in range(40)
    ]  # fmt: skip
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(40)
    one = np.repeat(rng.normal(size=(50, 4)), 2, axis=0).astype(np.float32)
    other = rng.normal(size=(100, 4)).astype(np.float32)
    twins, each = np.arange(100) // 2, np.arange(100)
    apart = kernel_distance(one, other, (twins, each), generator()).distance.value
    together = kernel_distance(one, other, (each, each), generator()).distance.value
    assert together > apart + 0.05


def test_lost_diversity_lowers_coverage_and_raises_likeness(domain: Features) -> None:
    unseen, good = domain(UNSEEN), domain(GOOD)
    fine, few = (
        manifold(unseen, each, WHO, generator()) for each in (good, domain(BAD["one class"]))
    )
    assert fine.coverage.value > 0.8 and fine.recall.value > 0.8
    assert few.coverage.value < 0.7
    noise = manifold(unseen, domain(BAD["noise"]), WHO, generator())
    assert noise.precision.value < fine.precision.value - 0.3
    alike = GOOD.take(np.arange(N) % 4)
    usual, lost = diversity(GOOD, generator()), diversity(alike, generator())
    assert usual is not None and lost is not None
    assert lost.low > usual.high


def test_ms_ssim_is_1_of_equal_images_and_falls_with_noise() -> None:
    pixels = GOOD.unit(np.arange(20))
    rng = generator()
    little, much = (
        (pixels + rng.normal(0, sd, pixels.shape)).astype(np.float32) for sd in (0.02, 0.2)
    )
    assert ms_ssim(pixels, pixels) == pytest.approx(np.ones(20))
    assert (ms_ssim(pixels, little) > ms_ssim(pixels, much)).all()
    assert [scales_of(side) for side in (8, 28, 64, 200)] == [1, 2, 3, 5]


def test_what_teaches_nothing_scores_badly(whole: ImageEvaluation) -> None:
    some = GOOD.take(np.arange(64))
    assert some.labels is not None and some.masks is not None
    swapped = replace(some, labels=generator().permutation(some.labels))
    read = read_by(learned(swapped, 2, 0), UNSEEN, generator())
    assert read.auroc.value < 0.8 < 0.9 < whole["tstr_auroc"].value
    shuffled = replace(some, masks=np.roll(some.masks, 1, axis=0))
    found = dice(overlap(learn_masks(shuffled, 2, 0), UNSEEN, 2), UNSEEN.who, generator())
    assert found.value < 0.4 < 0.6 < whole["mask_dice"].value


@pytest.mark.parametrize("mirror", [(), (3,)], ids=["as it is", "mirrored"])
@pytest.mark.parametrize("kind", ["pixels", "features"])
def test_copied_images_are_found(domain: Features, kind: str, mirror: tuple[int, ...]) -> None:
    features = domain if kind == "features" else None
    copied = TRAINED.take(np.arange(50)).flipped(mirror)
    mixed = replace(copied, pixels=np.concatenate([copied.pixels[:25], GOOD.pixels[:25]]))
    found = memorisation(TRAINED, UNSEEN, mixed, features, generator())
    assert found.images.value == pytest.approx(0.5, abs=0.06)
    assert found.images_base.value < 0.06
    assert found.patients == pytest.approx(25 / N, abs=0.02)
    assert (found.distances[:25] < 0.01).all()
    assert found.nearest[:25].tolist() == list(range(25))
    assert found.nearer.value > 0.6


def test_a_slightly_changed_copy_is_found_and_no_exact_one() -> None:
    rng = generator()
    near = np.clip(TRAINED.pixels.astype(int) + rng.integers(-1, 2, TRAINED.pixels.shape), 0, 255)
    copied = replace(TRAINED, pixels=near.astype(np.uint8))
    assert memorisation(TRAINED, UNSEEN, copied, None, generator()).images.value > 0.95
    assert exact_copies(copied, TRAINED).value == 0
    assert exact_copies(TRAINED.flipped((2,)), TRAINED).value == 1
    assert exact_repeats(GOOD).value == 0
    assert exact_repeats(GOOD.take(np.arange(N) // 2)).value == 1


def test_another_image_of_the_same_patient_is_no_neighbour_of_training_images() -> None:
    twins = TRAINED.take(np.arange(N) // 2)
    owned = replace(twins, patients=np.arange(N) // 2)
    found = memorisation(owned, UNSEEN, GOOD, None, generator())
    assert found.images.value < 0.1
    copied = memorisation(owned, UNSEEN, owned.take(np.arange(60)), None, generator())
    assert copied.images.value == 1 and copied.patients == pytest.approx(60 / N)


def test_good_images_are_near_their_ceilings(whole: ImageEvaluation) -> None:
    for name in ("frechet", "kid", "sliced_wasserstein", "precision", "coverage", "tstr_auroc",
                 "conditional_correctness", "mask_dice", "ms_ssim"):  # fmt: skip
        metric = whole[name]
        assert metric.ceiling is not None and metric.low is not None and metric.high is not None
        assert metric.low <= metric.value <= metric.high
        assert abs(metric.value - metric.ceiling) < 0.15, name
    for column in (("memorised", "pixels"), "memorised"):
        metric = whole[column]
        assert metric.low is not None and metric.ceiling is not None
        assert metric.low < metric.ceiling + 0.02
    assert whole["exact_copies"].value == 0
    assert whole["kid", "random-cnn"].detail.count("random-cnn") == 1
    with pytest.raises(ConfigError, match="no figure named"):
        whole["inception"]


def test_the_json_report_names_features_and_holds_no_image(whole: ImageEvaluation) -> None:
    found = json.loads(whole.to_json())
    assert found["format"] == "synthehr-image-report"
    assert found["images"] == {"real": N, "synthetic": N, "holdout": N}
    assert found["metrics"]["kid"]["features"] == "domain-classifier"
    assert found["features"][0]["sha256"]
    assert {each["features"] for each in found["by_features"]} == {
        "pixels-pca64", "random-cnn", "pixels",
    }  # fmt: skip
    assert len(whole.to_json()) < 40_000
    assert whole.failures({"kid": -1.0, "coverage": 0.1})[0].startswith("kid:")
    assert any("domain-classifier" in line for line in whole.summary())


def test_the_page_is_whole_and_marked(whole: ImageEvaluation) -> None:
    page = whole.to_html()
    assert page.count("Internal report: contains statistics of real patients.") >= 2
    assert "<script" not in page and "http://" not in page and "https://" not in page
    assert page.count('<figure class="sheet real">') == 2
    assert page.count("data:image/png;base64,") >= 8
    assert page == whole.to_html()


def test_a_class_of_few_patients_is_not_named() -> None:
    assert TRAINED.labels is not None
    few = replace(
        TRAINED, labels=np.where(np.arange(N) < 5, 2, TRAINED.labels),
        class_names=("well", "lesion", "Fabry"),
    )  # fmt: skip
    assert named(few) == ("well", "lesion", "rare class 2")


@pytest.mark.slow
def test_equal_seeds_find_equal_figures() -> None:
    small = [replace(each.take(np.arange(60)), masks=None) for each in (TRAINED, GOOD)]
    found = [evaluate_images(*small, seed=5).rows for _ in range(2)]
    assert found[0] == found[1]


def test_features_of_ones_own_come_first() -> None:
    def means(pixels: np.ndarray) -> np.ndarray:
        return pixels.mean(axis=3).reshape(len(pixels), -1)

    small = [replace(each.take(np.arange(60)), masks=None) for each in (TRAINED, GOOD, UNSEEN)]
    bare = [replace(each, labels=None) for each in small]
    found = evaluate_images(*bare, features=means, seed=0)
    assert [each.name for each in found.results.features][:2] == ["means", "domain-rotation"]
    assert "in features means" in found["kid"].detail
    assert dict(found.results.not_measurable).keys() == {"learning from synthetic images"}
    with pytest.raises(ConfigError, match="not one row of finite numbers"):
        evaluate_images(*bare, features=lambda pixels: pixels)


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        ImageRecords(pixels=TRAINED.pixels[:, 0])
    with pytest.raises(InputError, match="labels for"):
        ImageRecords(pixels=TRAINED.pixels, labels=np.zeros(3, np.int64))
    with pytest.raises(InputError, match="20 are needed"):
        evaluate_images(TRAINED, GOOD.take(np.arange(5)), UNSEEN)
    with pytest.raises(InputError, match="another size"):
        evaluate_images(TRAINED, phantoms(40, 1, side=20), UNSEEN)
    with pytest.raises(InputError, match="are the real ones"):
        evaluate_images(TRAINED, TRAINED, UNSEEN)
    owned = phantoms(80, 1, per_patient=2)
    with pytest.raises(InputError, match="40 patients have real and held-out images"):
        evaluate_images(owned, GOOD, owned)


@pytest.mark.slow
def test_synthetic_images_add_to_few_real_ones_and_noise_does_not() -> None:
    real, more, unseen = phantoms(40, 0), phantoms(160, 1), phantoms(160, 2)
    alone, helped = augmentation_gain(real, more, unseen, shares=(0.0, 4.0))
    assert (alone.share, helped.share) == (0.0, 4.0)
    assert helped.accuracy.value > alone.accuracy.value
    assert helped.accuracy.low <= helped.accuracy.value <= helped.accuracy.high
    wrong = replace(more, labels=1 - labels_of(more))
    (spoilt,) = augmentation_gain(real, wrong, unseen, shares=(4.0,))
    assert spoilt.accuracy.value < helped.accuracy.value
    with pytest.raises(InputError, match="are needed"):
        augmentation_gain(real, more, unseen, shares=(9.0,))


def labels_of(images: ImageRecords) -> np.ndarray:
    assert images.labels is not None
    return images.labels

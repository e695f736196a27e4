"""Fit the gate on training prompts."""

from dataclasses import replace

import numpy as np
import pandas as pd

from probe.arrays import Double, Float32, Indices, Mask, Matrix
from probe.errors import DataError
from probe.latent.directions import BiasDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import TrainConfig
from probe.moesd.gate.gate import CLASSES, Gate, KindClassifier, Labels, gate_features, true_classes
from probe.moesd.gate.reading import read_prompts, reasons_to_leave
from probe.text.captions.gender import read_gender
from probe.text.captions.vocabulary import GENDERS, GenderWords
from probe.text.challenge_prompts import KINDS, LESSONS, PromptTemplates
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet

LEXICON_SHARE = {"explicit": 0.8, "person": 0.8, "neutral": 0.5}
"""Share of the weight of a kind that is the lexicon's, of which there are fewer prompts than of
`LESSONS`; ours. With less, tinytown's gate opens for objects that it has not met; with more of the
lexicon's few objects, MiniLM's opens for captions of scenes."""
PENALTY = 0.3
"""Inverse ridge strength on features of total variance 10; ours, chosen on tinytown."""
N_FOLDS = 3
_EVERY = 4
_KINDS = {"neutral": "person", "male": "explicit", "female": "explicit", "object": "neutral"}


def fit_gate(
    encoder: TextEncoder,
    prompts: PromptSet,
    z: Float32,
    *,
    direction: BiasDirection,
    projection: CalibratedProjection,
    config: TrainConfig | None = None,
    is_english: bool = True,
) -> Gate:
    """Fit both kinds of gate on prompts about occupations and objects, and on the lessons.

    The lessons (`probe.text.challenge_prompts.LESSONS`) vary names, pronouns, negations, and
    gendered words that refer to nobody. The word list holds no noun of the prompts, and for the fit
    half of the names, nouns and person words are removed from it; otherwise the gate would learn
    that a word outside the list never states a gender, whatever the encoder knows.

    Lessons and lists are English. They are not used if not ``is_english``, or if more than half of
    the training prompts are to be left alone as not English.

    Bias scores are of prompts with `PromptSet.is_training`; the classifier reads those of
    validation, too, if ``config.reads_validation``. ``z`` are the pooled states of all prompts,
    shape (n_prompts, n_features), L2-normalised. A class without training prompt is a `DataError`.
    """
    config = config or TrainConfig()
    table = prompts.table
    training = prompts.is_training
    group = table["group"].to_numpy(dtype=str)
    lists = GenderWords.without_nouns(prompts.nouns)
    if is_english:
        reasons = reasons_to_leave(encoder, table.loc[training, "prompt"].tolist(), lists)
        is_english = sum(map(bool, reasons)) <= len(reasons) / 2
    has_list = config.gate_list and is_english
    axis = projection.removed(direction.vector[None])[0]
    raw = z @ axis
    midpoint = float(
        (raw[training & (group == "male")].mean() + raw[training & (group == "female")].mean()) / 2
    )
    bias_scores = raw - midpoint
    neutral_below = config.neutral_band * float(bias_scores[training & (group == "neutral")].std())
    skewed_above = 0.0 if config.corrects_everyone else neutral_below
    truth = true_classes(prompts, bias_scores, neutral_below=skewed_above)
    if missing := sorted(set(CLASSES) - set(truth[training])):
        raise DataError(
            f"no training prompt is {missing}; the gate needs all of {list(CLASSES)}: "
            "use a lexicon with more occupations or a smaller neutral band"
        )
    known = prompts.are_of(*config.final_splits)
    lessons = _training_table(table[known], has_lessons=is_english)
    texts = lessons["prompt"].tolist()
    reading = read_prompts(
        encoder,
        texts,
        reads=config.gate_reads,
        has_list=has_list,
        z=np.concatenate([z[known], encoder.embed(texts[known.sum() :])]),
        lists=half_of_the_lists(texts, lists),
    )
    lesson_scores = reading.z @ axis - midpoint
    kinds = lessons["kind"].to_numpy(dtype=str)
    classifier, cross_validated = fit_classifier(
        gate_features(reading, lesson_scores, config.gate_reads, has_list=has_list),
        kinds,
        weights=lessons["weight"].to_numpy(dtype=np.float64),
        groupings=(lessons["subject"].to_numpy(dtype=str), lessons["template"].to_numpy(dtype=str)),
        seed=config.seed,
    )
    is_skewed = np.abs(lesson_scores) >= skewed_above
    rate = config.false_alarm
    return Gate(
        axis=axis,
        midpoint=midpoint,
        neutral_below=neutral_below,
        explicit_above=explicit_threshold(
            np.abs(bias_scores[training]),
            truth[training] == CLASSES[0],
            above=neutral_below,
            false_alarm=rate,
        ),
        classifier=classifier,
        open_above=_open_above(cross_validated, kinds, is_skewed, false_alarm=rate),
        gendered_above=_gendered_above(cross_validated, kinds, false_alarm=rate),
        reads=config.gate_reads,
        has_list=has_list,
        kind=config.gate_kind,
        corrects_everyone=config.corrects_everyone,
        unlisted=prompts.nouns,
        is_english=is_english,
    )


def fit_classifier(
    features: Matrix,
    kinds: Labels,
    *,
    weights: Double,
    groupings: tuple[Labels, ...],
    seed: int = 0,
) -> tuple[KindClassifier, Double]:
    """Fit the classifier, and its temperature by grouped cross-validation.

    The kinds have equal weight, prompts that of ``weights`` within their kind. There is one
    cross-validation for each grouping, e.g. by subject and by template. Also returned are the
    cross-validated probabilities, shape (len(groupings), n_prompts, 3).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import softmax
    from sklearn.model_selection import GroupKFold

    y = np.array([KINDS.index(kind) for kind in kinds])
    weights = weights.astype(np.float64).copy()
    for kind in np.unique(y):
        weights[y == kind] *= len(y) / (len(KINDS) * weights[y == kind].sum())
    center = features.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(features.var(axis=0, dtype=np.float64).sum() / 10)
    scaled = (features - center) / scale
    logits = np.empty((len(groupings), len(y), len(KINDS)))
    for of_grouping, groups in zip(logits, groupings, strict=True):
        folds = GroupKFold(min(N_FOLDS, len(set(groups))), shuffle=True, random_state=seed)
        for train, test in folds.split(scaled, groups=groups):
            coefficients, intercepts = _fit_regression(scaled[train], y[train], weights[train])
            of_grouping[test] = scaled[test] @ coefficients.T + intercepts
    flat, truth = logits.reshape(-1, len(KINDS)), np.tile(y, len(groupings))
    weight = np.tile(weights, len(groupings))

    def loss(log_temperature: float) -> float:
        p = softmax(flat / np.exp(log_temperature), axis=-1)[np.arange(len(truth)), truth]
        return float(np.average(-np.log(np.maximum(p, 1e-300)), weights=weight))

    best = minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded")
    temperature = float(np.exp(best.x))
    coefficients, intercepts = _fit_regression(scaled, y, weights)
    classifier = KindClassifier(
        weights=coefficients / scale,
        intercepts=intercepts - coefficients @ center / scale,
        temperature=temperature,
    )
    return classifier, softmax(logits / temperature, axis=-1)


def opening_threshold(scores: Double, is_closed: Mask, *, false_alarm: float) -> float:
    """Find the least threshold that bounds the rate of false alarms.

    It is the smallest t >= 0 for which the share of prompts that must stay closed with ``score >=
    t`` is at most ``false_alarm``; a score is -inf where the gate stays closed at any threshold.
    """
    alarms = np.sort(scores[is_closed & np.isfinite(scores)])[::-1]
    n_allowed = int(np.floor(false_alarm * is_closed.sum() + 1e-9))
    if len(alarms) <= n_allowed:
        return 0.0
    return max(0.0, float(np.nextafter(alarms[n_allowed], np.inf)))


def explicit_threshold(
    sizes: Double, is_explicit: Mask, *, above: float, false_alarm: float
) -> float:
    """Find the size of the bias score above which a prompt is taken to be explicit.

    Of the thresholds above ``above`` that classify at most a share ``false_alarm`` of the explicit
    prompts as skewed, the one with the best balanced accuracy.
    """
    candidates = np.unique(sizes[sizes > above])
    explicit = sizes[is_explicit][:, None]
    sensitivity = (explicit > candidates).mean(axis=0)
    specificity = (sizes[~is_explicit][:, None] <= candidates).mean(axis=0)
    alarms = ((explicit > above) & (explicit <= candidates)).mean(axis=0)
    score = np.where(alarms <= false_alarm, sensitivity + specificity, -np.inf)
    return float(candidates[np.argmax(score)]) if np.isfinite(score).any() else float(above)


def half_of_the_lists(prompts: list[str], whole: GenderWords) -> GenderWords:
    """Return word lists without every second name, noun and person word of the lessons."""
    words = PromptTemplates.load(LESSONS).words
    lists = [words[gender][slot] for gender in GENDERS for slot in ("name", "noun")]
    people = {word.lower() for prompt in prompts for word in read_gender(prompt, whole).people}
    return whole.without(word for of in (*lists, sorted(people)) for word in of[::2])


def _training_table(table: pd.DataFrame, *, has_lessons: bool) -> pd.DataFrame:
    """List the prompts of a fit, first those of the lexicon, with kind, weight and groups."""
    lexicon = table[["prompt", "subject", "template"]].assign(kind=table["group"].map(_KINDS))
    known = PromptTemplates.load(LESSONS)
    objects = table.loc[table["group"] == "object", "subject"].unique()
    words = {**known.words["any"], "thing": [*objects, *known.words["any"]["thing"]]}
    templates = replace(known, words={**known.words, "any": words})
    people = PromptSet(table).nouns
    lessons = templates.prompts({"train": people}, split="train", every=_EVERY)
    is_fresh = has_lessons & ~lessons["prompt"].isin(lexicon["prompt"])
    fresh = lessons.loc[is_fresh, lexicon.columns]
    share = pd.Series(LEXICON_SHARE)
    weighted = [
        part.assign(weight=part["kind"].map(of) / part.groupby("kind")["kind"].transform("size"))
        for part, of in ((lexicon, share), (fresh, 1 - share))
        if len(part)
    ]
    return pd.concat(weighted, ignore_index=True)


def _open_above(
    cross_validated: Double, kinds: Labels, is_skewed: Mask, *, false_alarm: float
) -> float:
    """Choose the threshold of the trained gate from cross-validated probabilities."""
    person = cross_validated[..., 1]
    opens = (person >= cross_validated.max(axis=2)) & is_skewed
    scores = np.where(opens, person, -np.inf)
    is_closed = np.broadcast_to(kinds != "person", scores.shape)
    return opening_threshold(scores.ravel(), is_closed.ravel(), false_alarm=false_alarm)


def _gendered_above(cross_validated: Double, kinds: Labels, *, false_alarm: float) -> float:
    """Choose the threshold above which a prompt that states a gender is one on a person."""
    explicit = cross_validated[..., 0]
    scores = np.where(explicit >= cross_validated.max(axis=2), explicit, -np.inf)
    is_closed = np.broadcast_to(kinds == "neutral", scores.shape)
    return opening_threshold(scores.ravel(), is_closed.ravel(), false_alarm=false_alarm)


def _fit_regression(X: Double, y: Indices, weights: Double) -> tuple[Double, Double]:
    """Fit one regression; a kind that is missing from a fold gets no probability."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if (y == y[0]).all():  # all templates of the other kinds are in the fold that is left out
        return np.zeros((len(KINDS), X.shape[1])), np.where(np.arange(len(KINDS)) == y[0], 0.0, -30)
    model = LogisticRegression(C=PENALTY, max_iter=500, tol=1e-3)
    with threadpool_limits(1):  # on products this small, threads wait for each other
        model.fit(X, y, sample_weight=weights)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn then returns one row for both
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    all_rows = np.zeros((len(KINDS), X.shape[1]))
    all_intercepts = np.full(len(KINDS), -30.0)
    all_rows[model.classes_], all_intercepts[model.classes_] = coefficients, intercepts
    return all_rows, all_intercepts

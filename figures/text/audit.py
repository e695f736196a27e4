"""An audit of images, labels or counts, as the terminal shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from figures.text.layout import aligned
from figures.text.terms import measures_of
from probe.stats.notation import bracketed, counted, interval, number, over, p_value, percent

Found = Mapping[str, Any]

_N_SUBJECTS = 5  # listed from each end


def audit_table(found: Found) -> str:
    """Write what `probe.audit.audit.Audit.to_json` returns."""
    lines = [
        f"{found['source']}: {found['attribute']} ({', '.join(found['values'])}), "
        f"{counted(found['n_subjects'], 'subjects')}, {counted(found['n_images'], 'images')}, "
        f"target {found['target']}",
        *found["notes"],
        _departures(found),
        *_measures(found),
        *_subjects(found),
        *_missing(found),
        *_error(found),
        *_against(found),
        *_intersection(found),
    ]
    if (link := found.get("correlation")) is not None:
        r = interval(link | {"value": link["r"]})
        about = f"share of {link['value']} against {link['reference']}"
        lines.append(f"{about}: r = {r}, {link['n']} subjects")
    for name, other in found.get("others", {}).items():
        mad, values = other["mad"], ", ".join(other["values"])
        lines.append(f"{name} ({values}): MAD {interval(mad)}, noise floor {number(mad['floor'])}")
    lines.append(
        "values are perceived, not anyone's identity; intervals are 95 % over subjects; the noise "
        "floor is the score of a fair model with as many images, and its bias is adjusted in part"
    )
    return "\n".join(lines)


def groups_table(found: Found) -> str:
    """Write an audit by groups: a row a group, and a row a pair of them."""
    groups = found["groups"]
    head = groups[0]
    rows = [[found["by"], "subjects", "differ", "images", "no value", "MAD", "noise floor"]]
    for of in groups:
        differ = sum(row["p_holm"] <= 0.05 for row in of["subjects"])
        sizes = (of["n_subjects"], differ, of["n_images"], of["missing"]["total"])
        mad = of["mad"]
        rows.append([of["group"], *map(str, sizes), interval(mad), number(mad["floor"])])
    pairs, more = [["second minus first", "over", "difference of MAD", "p", "p by Holm"]], []
    for of in found["differences"]:
        name = f"{of['second']} \N{MINUS SIGN} {of['first']}"
        pairs.append([name, over(of), interval(of), p_value(of["p"]), p_value(of["p_holm"])])
        if "along" in found or len(groups) == 2:
            more += [f"{name}: {line}" for line in _signatures(of["signatures"])]
        if (shift := of.get("shift")) is not None:
            error, before = (number(shift[f"error_{key}"]) for key in ("left_out", "unchanged"))
            more.append(
                f"{name}: slope of the log-odds {interval(shift['slope'], 2)}; mean error of the "
                f"shares of subjects left out of the fit {error}, if unchanged {before}"
            )
    lines = [
        f"{found['source']}: {head['attribute']} ({', '.join(head['values'])}), "
        f"{len(groups)} groups, target {head['target']}",
        *found["notes"],
        *(f"{of['group']}: {note}" for of in groups for note in of["notes"]),
        *aligned(rows),
        *(["", *aligned(pairs)] if len(pairs) > 1 else ["no groups to compare share 2 subjects"]),
        *more,
        *(f"{of['group']}: {line}" for of in groups for line in _intersection(of)),
        "differ: subjects that differ from the target beyond chance (exact tests, Holm, 5 %); "
        "values are perceived, not anyone's identity; intervals are 95 % over subjects",
    ]
    return "\n".join(lines)


def pairs_table(found: Mapping[str, Any]) -> str:
    """Write what `probe.audit.pairs.measure_pairs` returns."""
    rows = [["pair", "images", "no outcome", *found["pairs"][0]["shares"], "net", "p by Holm"]]
    for of in found["pairs"]:
        shares = [percent(share["value"], 0) for share in of["shares"].values()]
        sizes = [of["pair"], str(of["n"]), str(of["missing"])]
        rows.append([*sizes, *shares, number(of["net"], 2), p_value(of["p_holm"])])
    lines = [f"{found['source']}: roles by {found['roles']}", *found["notes"], *aligned(rows)]
    if (net := found["net"]) is not None:
        lines.append(
            f"stereotype in {interval(found['stereotype'], scale='%')} of images, net "
            f"{interval(net, 2)}, {p_value(net['p'])} (means over {net['n']} pairs)"
        )
    if n := found["missing"]["total"]:
        low, high = (number(found["bounds"][key], 2) for key in ("low", "high"))
        reasons = ", ".join(f"{k} {why}" for why, k in found["missing"].items() if why != "total")
        lines.append(
            f"{counted(n, 'images')} without outcome ({reasons}): whatever they show, net is {low} "
            f"to {high}"
        )
    note = "net: stereotype minus reverse; p: exact sign tests over images; genders are perceived"
    return "\n".join([*lines, note])


def sequential_table(found: Found) -> str:
    """Write what `probe.run.sequential_audit.StoppedAudit.to_json` returns."""
    rows = [
        [row["subject"][:32], row["verdict"], interval(row, 2), f"n = {row['n']}"]
        for row in found["subjects"]
    ]
    band, n_subjects = found["band"], len(found["subjects"])
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in found["verdicts"].items())
    saved = found["saving_interval"] or {"value": found["saving"]}
    saving = interval(saved, 0, "%") if "low" in saved else percent(saved["value"], 0)
    return "\n".join(
        [
            *aligned(rows, n_left=2),
            f"share of {found['value']} in images of the {found['side']} model, band "
            f"{band['low']:g} to {band['high']:g}: {verdicts}; all verdicts hold together with "
            f"{percent(found['family_confidence'], 0)} confidence (each interval has "
            f"{percent(found['confidence'], 2)})",
            f"{found['n_images']} images instead of {found['n_max'] * n_subjects}, {saving} saved",
        ]
    )


def power_table(found: Found) -> str:
    """Images and subjects that `probe.stats.power.plan_audit` found to be needed."""
    lines = [
        f"{found['images_per_subject']} images of one subject show that its share is not 1/2 "
        f"if it is {found['difference']:g} away",
        f"that two models differ by {found['difference']:g} in MAD (SD over subjects "
        f"{found['spread']:g}) is shown by",
        *(
            f"  {row['n_subjects']:>6} subjects of {row['n_images']} images each"
            for row in found["subjects"]
        ),
        "with power 0.8 at 5 %, both two-sided",
    ]
    return "\n".join(lines)


def _departures(found: Found) -> str:
    """Whether these images differ from a fair model's: the subjects that do, then all others."""
    names = [row["subject"] for row in found["subjects"] if row["p_holm"] <= 0.05]
    return (
        f"{len(names)} of {len(found['subjects'])} subjects differ from the target beyond chance "
        f"(exact tests, Holm, 5 %){_named(names)}"
    )


def _named(names: Sequence[str]) -> str:
    """The first names after a colon, and how many more there are; nothing of none."""
    shown = ", ".join(name[:32] for name in names[:_N_SUBJECTS])
    more = f" and {len(names) - _N_SUBJECTS} more" if len(names) > _N_SUBJECTS else ""
    return f": {shown}{more}" if names else ""


def _measures(found: Found) -> list[str]:
    rows = [["", "observed", "noise floor", "partly adjusted"]]
    for key, (name, _) in measures_of(len(found["values"])).items():
        measured = found[key]
        keys = ("corrected", "corrected_low", "corrected_high")
        corrected = bracketed(*(measured[key] for key in keys))
        rows.append([name, interval(measured), number(measured["floor"]), corrected])
    return aligned(rows)


def _subjects(found: Found) -> list[str]:
    """The subjects with the smallest and the largest shares of the first value."""
    value = found["values"][0]
    ranked = sorted(found["subjects"], key=lambda row: row["shares"][value]["value"])
    if len(ranked) > 2 * _N_SUBJECTS:
        ranked = ranked[:_N_SUBJECTS] + ranked[-_N_SUBJECTS:]
    rows = [
        [f"  {row['subject'][:32]}", interval(row["shares"][value], 2), f"n = {row['n']}"]
        for row in ranked
    ]
    return [f"share of {value}, smallest and largest:", *aligned(rows)]


def _missing(found: Found) -> list[str]:
    reasons = dict(found["missing"])
    if not (total := reasons.pop("total")):
        return []
    why = ", ".join(f"{n} {reason}" for reason, n in reasons.items())
    return [_unknown(total, f" ({why})", found)]


def _unknown(n: int, which: str, found: Found) -> str:
    low, high = (number(found["bounds"]["mad"][key]) for key in ("low", "high"))
    whose = f"no value in {counted(n, 'images')}{which}"
    return f"{whose}; whatever they show, MAD is between {low} and {high}"


def _error(found: Found) -> list[str]:
    """The effect of classifier errors on MAD."""
    if (known := found.get("calibrated")) is not None:
        mad = known["mad"]
        return [
            f"MAD adjusted for misclassification ({known['n']} labelled images): {interval(mad)}, "
            f"noise floor {number(mad['floor'])}"
        ]
    if found.get("sensitivity") is None:
        return []
    if (largest := found["sensitivity"]["holds_up_to"]) is None:
        return [
            "the interval of MAD reaches the noise floor: bias of subjects in general is not shown"
        ]
    return [f"less fair than chance: holds for classifier error rates up to {percent(largest)}"]


def _against(found: Found) -> list[str]:
    """The difference to the other source."""
    if (other := found.get("against")) is None:
        return []
    mad = other["difference"]["mad"]
    same = "equivalent" if mad["p_equivalent"] < 0.05 else "not shown to be equivalent"
    n_different = sum(row["p_holm"] < 0.05 for row in other["subjects"])
    lines = [f"{other['source']}: {note}" for note in other["notes"]]
    if n_missing := other["n_missing"]:
        lines.append(_unknown(n_missing, f" of {other['source']}", other))
    lines += [
        f"MAD of {other['source']} minus this: {interval(mad)}, {p_value(mad['p'])}; within "
        f"{mad['margin']:g}: {same} ({p_value(mad['p_equivalent'])})",
        f"share of {other['value']} differs in {n_different} of {len(other['subjects'])} subjects "
        "(Holm, 5 %)",
        *_signatures(other["signatures"]),
    ]
    if other["missing"]:
        lines.append(f"in one of the two only{_named(other['missing'])}")
    return lines


def _signatures(found: Found) -> list[str]:
    """The subjects that changed sides, moved away from the target, or did not change."""
    words = {"turned": "on the other side of the target", "further": "further from the target"}
    return [
        f"{text}: {len(found[name]['subjects'])} of {found[name]['n']}"
        f"{_named(found[name]['subjects'])}"
        for name, text in (words | {"unmoved": "skewed, and no change shown"}).items()
    ]


def _intersection(found: Found) -> list[str]:
    """The combination of values that is shown least, and those that are surely too few."""
    if (of := found.get("intersection")) is None:
        return []
    about = f"{' x '.join(of['attributes'])}, {of['n_images']} images with all labels"
    if (worst := of["worst"]) is None:
        return [f"{about}: too few images to say which combination is missing"]
    share = interval(worst | {"value": worst["share"]})
    gone = [" ".join(cell["values"]) for cell in of["cells"] if cell["is_missing"]]
    return [
        f"{about}: least {' '.join(worst['values'])}, {share}, fair "
        f"{number(worst['fair'])}; below the fair share beyond chance: {', '.join(gone) or 'none'}"
    ]

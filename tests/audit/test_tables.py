"""Tables as people have them: read as they are meant, or refused with the way out."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main
from probe.audit.readers.counts import read_count_rows, read_counts
from probe.audit.readers.image_folders import find_images
from probe.audit.readers.labels import read_labels
from probe.audit.readers.selection import Selection
from probe.errors import DataError, OptionError


def write(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def call(*arguments):
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def checked(*arguments):
    """Check the first arguments' audit against the bounds that follow them."""
    at = arguments.index("--fail-above")
    found = call(*arguments[:at], "--json").stdout
    return CliRunner().invoke(main, ["check", "-", *arguments[at:]], input=found)


def audited(*arguments):
    result = call(*arguments, "--n-bootstrap", 200, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# Totals and shares

JOBS = "nurse,90,10\nceo,20,80\ncook,40,60\n"


@pytest.mark.parametrize(
    "text",
    [
        "job,woman,man,n\nnurse,90,10,100\nceo,20,80,100\ncook,40,60,100\n",
        "job,total,woman,man\nnurse,100,90,10\nceo,100,20,80\ncook,100,40,60\n",
        f"job,woman,man\n{JOBS}total,150,150\n",
        "job,gender,count\nnurse,woman,90\nnurse,man,10\nnurse,all,100\n"
        "ceo,woman,20\nceo,man,80\nceo,all,100\ncook,woman,40\ncook,man,60\ncook,all,100\n",
    ],
)
def test_a_total_is_no_value_and_no_subject(tmp_path, text):
    table = read_counts(write(tmp_path, text))
    assert (table.subjects, table.values) == (["nurse", "ceo", "cook"], ["woman", "man"])
    np.testing.assert_array_equal(table.counts, [[90, 10], [20, 80], [40, 60]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job,n\na,0\n", "no column of values besides job, n"),
        ("job,sex,race,n\na,f,all,2\na,f,b,2\n", "rows of totals beside several attributes"),
        ("job,woman,man,person\na,9,1,10\nb,2,8,10\n", "'person' is the sum of all others"),
        (f"job,woman,man\n{JOBS}everybody,150,150\n", "'everybody' is the sum of all others"),
        (f"job,woman,man\n{JOBS}total,150,140\n", "'total' is not the sum of the others"),
        ("job,woman,man,n\nnurse,90,20,100\n", "counts 90, 20 of 100 images"),
        ("job,woman,n\nnurse,101,100\n", "counts 101 of 100 images"),
        ("job,woman,n,images\nnurse,1,2,2\n", "n, images, which all look like the number"),
        ("job,woman,n\nnurse,0.905,100\nceo,0.5,100\n", "share 0.905 of 100 images, which is no"),
        ("job,woman,man\nnurse,0.9,0.1\n", "or shares beside a column n"),
        ("job,artist,woman,man\nx,y,1,2\n", "artist holds no counts; group the rows by it with"),
    ],
)
def test_what_counts_no_images_or_is_no_total_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_counts(write(tmp_path, text))


def test_values_that_are_named_may_sum_one_another(tmp_path):
    path = write(tmp_path, "job,a,b,c\nx,1,2,3\ny,2,1,3\n")
    assert read_counts(path, values=["a", "b", "c"]).values == ["a", "b", "c"]


def test_images_beyond_the_counted_ones_show_nothing(tmp_path):
    table = read_counts(write(tmp_path, "job,woman,man,n\nnurse,60,30,100\nceo,50,50,100\n"))
    assert table.n_missing.tolist() == [10, 0]


@pytest.mark.parametrize(
    ("text", "named", "values"),
    [
        ("job,n_women,n\nnurse,90,100\nceo,20,100\n", None, ["women", "not women"]),
        ("job,n_women,n\nnurse,90,100\nceo,20,100\n", ["women", "man"], ["women", "man"]),
        ("job,female_ratio,n\nnurse,0.9,100\nceo,0.2,100\n", None, ["female", "not female"]),
        ("job,woman,man,n\nnurse,0.90,0.10,100\nceo,0.20,0.80,100\n", None, ["woman", "man"]),
    ],
)
def test_one_count_or_shares_beside_the_number_of_images(tmp_path, text, named, values):
    table = read_counts(write(tmp_path, text), values=named)
    assert table.values == values
    np.testing.assert_array_equal(table.counts, [[90, 10], [20, 80]])


# Spellings


@pytest.mark.parametrize("other", ["females", "Woman", "female", "women", "WOMAN"])
def test_two_spellings_of_a_value_are_refused_until_they_are_mapped(tmp_path, other):
    rows = "nurse,woman\n" * 60 + f"nurse,{other}\n" * 20 + "ceo,man\n" * 80
    path = write(tmp_path, "subject,gender\n" + rows)
    message = f"'woman' in 60 images and '{other}' in 20.*--map {other}=woman"
    with pytest.raises(DataError, match=message):
        read_labels(path)
    table = read_labels(path, selection=Selection.parse(renamed=[f"{other}=woman"]))
    assert table.count("gender").counts.tolist() == [[80, 0], [0, 80]]
    apart = read_labels(path, values=["woman", "man", other])
    assert apart.count("gender").counts.tolist() == [[60, 0, 20], [0, 80, 0]]
    counts = write(tmp_path, f"subject,woman,man,{other}\nnurse,60,0,20\n", "counts.csv")
    with pytest.raises(DataError, match=message):
        read_counts(counts)
    joined = read_count_rows(counts, selection=Selection.parse(renamed=[f"{other}=woman"]))
    assert joined.count("value").counts.tolist() == [[80, 0]]


def test_a_rare_value_is_told_before_the_figures(tmp_path):
    rows = "nurse,woman\n" * 99 + "ceo,man\n" * 99 + "ceo,wommon\n"
    path = write(tmp_path, "subject,gender\n" + rows)
    line = call("--labels", path).stdout.splitlines()[1]
    assert line.startswith("gender is 'wommon' in only 1 of 199 images")
    assert audited("--labels", path, "--map", "wommon=woman")["values"] == ["woman", "man"]


def test_a_word_that_is_taken_for_no_value_is_told(tmp_path):
    rows = "nurse,woman\n" * 9 + "ceo,man\n" * 9 + "ceo,both\nceo,\nceo,ambiguous\n"
    path = write(tmp_path, "subject,gender\n" + rows)
    lines = call("--labels", path).stdout.splitlines()
    assert lines[1] == (
        "gender is 'both' in 1 image, which counts as ambiguous; --map both=VALUE makes it a value"
    )
    assert sum(line.startswith("gender is") for line in lines) == 1
    text = call("--labels", path, "--map", "both=several").stdout
    assert "gender (woman, man, several)" in text
    assert "counts as ambiguous" not in text
    counts = write(tmp_path, "subject,woman,man,both\nnurse,7,1,2\nceo,1,8,1\n", "counts.csv")
    assert "value is 'both' in 3 images, which counts as" in call("--counts", counts).stdout


def test_a_value_that_does_not_occur_cannot_be_mapped(tmp_path):
    path = write(tmp_path, "subject,gender\nnurse,woman\nceo,man\n")
    with pytest.raises(DataError, match=r"no value 'womn' \(did you mean 'woman'\?\) for --map"):
        read_labels(path, selection=Selection.parse(renamed=["womn=woman"]))


# Columns, groups and rows

MODELS = "file_name,model,setting,subject,gender,race\n" + "".join(
    f"{model}/{subject}{i}.png,{model},{'a' if i % 2 else 'b'},{subject},"
    f"{'woman' if i < share else 'man'},{'light' if i % 3 else 'dark'}\n"
    for model, shares in {"one": (18, 10, 2), "two": (10, 10, 10)}.items()
    for subject, share in zip(("nurse", "cook", "ceo"), shares, strict=True)
    for i in range(20)
)


def test_what_made_an_image_is_no_attribute_and_the_tool_says_so(tmp_path):
    table = read_labels(write(tmp_path, MODELS))
    assert list(table.values) == ["gender", "race"]
    assert table.notes == (
        "taken for attributes: gender, race; choose with --attribute",
        "images of every model and setting are counted together; --by model,setting measures "
        "each, --where model=VALUE chooses one",
    )


@pytest.mark.slow
def test_groups_are_measured_each_and_compared_in_pairs(tmp_path):
    path = write(tmp_path, MODELS)
    options = ("--labels", path, "--attribute", "gender")
    found = audited(*options, "--by", "model")
    assert [of["group"] for of in found["groups"]] == ["one", "two"]
    for of, mad in zip(found["groups"], ((0.4 + 0 + 0.4) / 3, 0.0), strict=True):
        alone = audited(*options, "--where", f"model={of['group']}")
        assert of["mad"] == alone["mad"]
        assert of["mad"]["value"] == pytest.approx(mad)
    [pair] = found["differences"]
    assert (pair["first"], pair["second"], pair["n"]) == ("one", "two", 3)
    assert pair["value"] == pytest.approx(-0.8 / 3)
    four = audited(*options, "--by", "model,setting")
    assert len(four["differences"]) == 6
    assert all(of["p_holm"] >= of["p"] for of in four["differences"])
    text = call(*options, "--by", "model").stdout
    assert "second minus first" in text
    assert "difference of MAD" in text


def test_the_gate_and_the_table_take_every_group(tmp_path):
    path, table = write(tmp_path, MODELS), tmp_path / "shares.csv"
    options = ("--labels", path, "--attribute", "gender", "--by", "model", "--table", table)
    result = checked(*options, "--fail-above", "mad=0.6", "--fail-above", "mad=0.3")
    assert result.exit_code == 3
    assert "FAILED: one: mad" in result.stdout
    assert "kept: two: mad" in result.stdout
    assert table.read_text().startswith("group,subject,attribute,value")


@pytest.mark.slow
def test_labels_by_people_are_read_as_they_lie(real_data):
    path = real_data / "audited_pictures" / "labels.csv"
    assert "--map females=woman" in call("--labels", path).stderr
    found = audited(
        *("--labels", path, "--map", "females=woman", "--attribute", "gender,race"),
        *("--by", "model,setting"),
    )
    assert len(found["groups"]) == 6
    n_missing = sum(of["missing"]["total"] for of in found["groups"])
    assert n_missing == 9  # "both"
    assert sum(of["n_images"] for of in found["groups"]) == 272 - n_missing
    assert found["groups"][0]["intersection"]["attributes"] == ["gender", "race"]


def test_rows_of_several_models_are_no_counts_of_one(tmp_path):
    text = "model,guidance,job,n_women,n\na,1,x,1,10\na,1,y,2,10\nb,7,x,3,10\nb,7,y,4,10\n"
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=r"rows of every model and guidance.*--by model,guidance"):
        read_counts(path)
    one = read_count_rows(path, selection=Selection.parse(where=["model=b"]))
    assert one.count("value").counts.tolist() == [[3, 7], [4, 6]]


def test_intersections_come_from_labels_and_from_counts(tmp_path):
    rows = [("woman", "dark", 4), ("woman", "light", 46), ("man", "dark", 25), ("man", "light", 25)]
    counts = "subject,gender,race,count\n" + "".join(f"x,{g},{r},{n}\n" for g, r, n in rows)
    labels = "subject,gender,race\n" + "".join(f"x,{g},{r}\n" * n for g, r, n in rows)
    found = [
        audited(option, write(tmp_path, text, name), "--attribute", "gender,race")
        for option, text, name in (("--counts", counts, "c.csv"), ("--labels", labels, "l.csv"))
    ]
    assert found[0]["intersection"] == found[1]["intersection"]
    assert found[0]["mad"] == found[1]["mad"]
    worst = found[0]["intersection"]["worst"]
    assert (worst["values"], worst["count"], worst["share"]) == (["woman", "dark"], 4, 0.04)
    text = call("--counts", tmp_path / "c.csv", "--attribute", "gender,race").stdout
    assert "gender x race, 100 images with all labels: least woman dark" in text
    one = audited("--counts", tmp_path / "c.csv", "--attribute", "race")
    assert one["subjects"][0]["shares"]["dark"]["value"] == pytest.approx(0.29)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": ["model=three"]}, "model is never 'three'; it is one, two"),
        ({"where": ["modl=one"]}, r"no column 'modl' \(did you mean 'model'\?\)"),
        ({"by": "modl"}, r"no column 'modl' \(did you mean 'model'\?\)"),
    ],
)
def test_wrong_columns_and_values_are_refused(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        read_labels(write(tmp_path, MODELS), selection=Selection.parse(**options))


@pytest.mark.parametrize("options", [{"where": ["x"]}, {"by": "a,a"}, {"renamed": ["a="]}])
def test_options_that_say_nothing_are_refused(options):
    with pytest.raises(OptionError, match=r"needed (NAME=VALUE|columns)"):
        Selection.parse(**options)


# The same image again


def test_an_image_that_is_named_again_counts_once(tmp_path):
    text = "file_name,subject,gender\n" + "a.png,nurse,woman\n" * 4 + "b.png,nurse,man\n"
    table = read_labels(write(tmp_path, text))
    assert table.count("gender").counts.tolist() == [[1, 1]]
    assert table.notes == ("left out, as the image is named again: 3 rows",)
    with pytest.raises(DataError, match="rows 1 and 6 give one image different labels"):
        read_labels(write(tmp_path, text + "a.png,nurse,man\n"))


def test_two_raters_of_an_image_are_told_apart_by_the_user(tmp_path):
    text = "file_name,rater,subject,gender\na,1,x,woman\na,2,x,man\nb,1,x,man\nb,2,x,man\n"
    path = write(tmp_path, text)
    with pytest.raises(DataError, match="rows 1 and 2 give one image different labels"):
        read_labels(path)
    assert len(read_labels(path, selection=Selection.parse(where=["rater=2"]))) == 2


def test_the_same_name_in_another_model_or_subject_is_another_image(tmp_path):
    text = "file_name,model,subject,gender\n" + "".join(
        f"0.png,{model},{subject},woman\n" for model in "ab" for subject in "xy"
    )
    assert len(read_labels(write(tmp_path, text))) == 4


@pytest.fixture
def folder(tmp_path):
    for name, level in {"a.png": 10, "b.png": 90}.items():
        Image.new("RGB", (16, 16), (level,) * 3).save(tmp_path / name)
    return tmp_path


def test_a_copy_of_an_image_counts_once(folder, model_folder):
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes())
    names = ("a.png", "a.png", "b.png", "c.png")
    write(folder, "file_name,subject\n" + "".join(f"{n},nurse\n" for n in names), "labels.csv")
    found = audited("--images", folder, "--classifier", model_folder)
    assert found["n_images"] + found["missing"]["total"] == 2
    assert "left out as copies of others of their subject: 2 images" in found["notes"]


def test_a_folder_may_have_its_table_as_csv(folder):
    write(folder, "file_name,model,job,seed\na.png,x,nurse,1\nb.png,y,ceo,2\n", "labels.csv")
    found = find_images(folder)
    assert (found.subjects, found.seeds) == (["nurse", "ceo"], ["1", "2"])
    chosen = find_images(folder, Selection.parse(where=["model=y"], by="model"))
    assert (chosen.subjects, chosen.groups) == (["ceo"], ["y"])


def test_images_are_measured_by_groups(folder, model_folder):
    for i in range(4):
        Image.new("RGB", (16, 16), (60 * i, 0, 0)).save(folder / f"{i}.png")
    lines = [f"{i}.png,{'xy'[i % 2]},{'nurse' if i < 2 else 'ceo'}" for i in range(4)]
    write(folder, "\n".join(["file_name,model,subject", *lines]), "metadata.csv")
    options = ("--images", folder, "--classifier", model_folder, "--attribute", "gender")
    found = audited(*options, "--by", "model")
    assert [of["n_images"] + of["missing"]["total"] for of in found["groups"]] == [2, 2]
    assert "for --map to rename" in call(*options, "--map", "x=woman").stderr


# A second source, and options without effect


def test_images_without_a_label_in_the_second_source_are_told_and_bound_the_gate(tmp_path):
    first = write(tmp_path, "job,woman,man,unclear\na,50,50,0\nb,50,50,0\n", "first.csv")
    second = write(tmp_path, "job,woman,man,unclear\na,50,50,900\nb,50,50,900\n", "second.csv")
    options = ("--counts", first, "--against", second)
    text = call(*options).stdout
    assert "no value in 1,800 images of second.csv; whatever they show, MAD is" in text
    assert call(*options, "--map", "woman=w").exit_code == 0
    found = audited(*options)["against"]
    assert found["n_missing"] == 1800
    assert found["bounds"]["mad"]["high"] == pytest.approx(0.45)
    assert checked(*options, "--fail-above", "against.difference.mad=0.3").exit_code == 3


def test_the_words_and_the_notes_of_the_second_source_count(tmp_path):
    rows = "subject,gender\n" + "nurse,woman\n" * 9 + "ceo,man\n" * 9 + "ceo,both\n"
    first = write(tmp_path, rows, "first.csv")
    second = write(tmp_path, rows.replace("woman", "female"), "second.csv")
    options = ("--labels", first, "--against", second)
    assert "or rename some with --map" in call(*options).stderr
    text = call(*options, "--map", "female=woman").stdout
    assert "second.csv: gender is 'both' in 1 image, which counts as ambiguous" in text
    result = call(*options, "--map", "female=woman", "--map", "womn=woman")
    assert result.exit_code == 1
    assert "neither source has a value 'womn' for --map to rename" in result.stderr


def test_a_json_list_is_a_table(tmp_path):
    rows = [{"job": "x", "gender": "woman"}, {"job": "x", "gender": "man"}]
    table = read_labels(write(tmp_path, json.dumps(rows), "labels.json"))
    assert table.count("gender").counts.tolist() == [[1, 1]]
    counts = [{"job": "x", "n_women": 3, "n": 10}]
    table = read_counts(write(tmp_path, json.dumps(counts, indent=1), "counts.json"))
    assert table.counts.tolist() == [[3, 7]]
    for text, message in (("{}", "needed a list of objects"), ("[", "is not JSON")):
        with pytest.raises(DataError, match=message):
            read_labels(write(tmp_path, text, "wrong.json"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--value", "woman"], "--value needs --against or --by or --reference"),
        (["--classifier", "x"], "--classifier needs --images"),
        (["--device", "cuda"], "--device needs --images or --sequential"),
        (["--by", "model", "--against", "TABLE"], "--by and --along compare groups of one source"),
    ],
)
def test_an_option_without_effect_is_refused(tmp_path, options, message):
    path = write(tmp_path, MODELS)
    result = call("--labels", path, *(str(path) if o == "TABLE" else o for o in options))
    assert result.exit_code == 2
    assert message in result.stderr

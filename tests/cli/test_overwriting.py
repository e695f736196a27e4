"""No command overwrites what it reads, or a file of a run; no option is given twice in vain."""

import shutil

import pytest

LABELS = "subject,gender\nnurse,woman\nnurse,man\ncook,man\n"


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(LABELS)
    return path


@pytest.mark.parametrize("link", ["itself", "hard link", "another spelling"])
@pytest.mark.parametrize("is_check", [False, True])
def test_an_input_is_never_overwritten(labels, tmp_path, is_check, link, call):
    target = labels
    if link == "hard link":
        (target := tmp_path / "same.csv").hardlink_to(labels)
    elif link == "another spelling":
        target = tmp_path / "x" / ".." / "labels.csv"
        (tmp_path / "x").mkdir()
    audit = ("audit", "--labels", labels, "--table", target)
    check = ("check", labels, "--fail-above", "mad=1", "--junit", target)
    result = call(*(check if is_check else audit))
    assert result.exit_code == 2
    assert f"{'--junit' if is_check else '--table'} would overwrite" in result.stderr
    assert "name another file" in result.stderr
    assert labels.read_text() == LABELS


def test_what_an_option_names_as_text_is_an_input_too(labels, tmp_path, call):
    target = tmp_path / "target.csv"
    target.write_text("subject,woman,man\nnurse,0.5,0.5\ncook,0.5,0.5\n")
    result = call("audit", "--labels", labels, "--target", target, "--table", target)
    assert result.exit_code == 2
    assert target.read_text().startswith("subject,woman")


def test_two_outputs_do_not_share_a_file(tmp_path, call):
    captions, out = tmp_path / "captions.txt", tmp_path / "out.csv"
    captions.write_text("a photo of a man\n")
    assert call("prompts", captions, "--out", captions).exit_code == 2
    result = call("prompts", captions, "--out", out, "--counterfactuals", out)
    assert result.exit_code == 2
    assert "--counterfactuals and --out name the same file" in result.stderr
    assert captions.read_text() == "a photo of a man\n"


@pytest.mark.parametrize("name", ["embeddings/states.safetensors", "config.toml"])
def test_a_file_of_a_run_is_never_overwritten(finished_run, labels, tmp_path, name, call):
    run = shutil.copytree(finished_run, tmp_path / "run")
    content = (run / name).read_bytes()
    commands = (
        ("export", run, run / name),
        ("check", run, "--fail-above", "mad=1", "--junit", run / name),
        ("audit", "--labels", labels, "--table", run / name),
        ("card", run, "--out", run / name),
    )
    for command in commands:
        result = call(*command)
        assert result.exit_code == 2, command
        assert f"would overwrite a file of the run {run}" in result.stderr
        assert ("FILE would" if command[0] == "export" else f"{command[-2]} would") in result.stderr
    assert (run / name).read_bytes() == content


def test_images_that_are_audited_are_never_overwritten(tmp_path, call):
    folder = tmp_path / "images"
    (folder / "nurse").mkdir(parents=True)
    (folder / "nurse" / "0.png").write_bytes(b"an image")
    result = call("audit", "--images", folder, "--table", folder / "nurse" / "0.png")
    assert result.exit_code == 2
    assert (folder / "nurse" / "0.png").read_bytes() == b"an image"


def test_results_may_be_written_again(labels, tmp_path, call):
    table = tmp_path / "shares.csv"
    for _ in range(2):
        assert call("audit", "--labels", labels, "--table", table).exit_code == 0


def test_an_option_that_takes_one_value_is_given_once(labels, call):
    result = call("audit", "--labels", labels, "--against", labels, f"--against={labels}")
    assert result.exit_code == 2
    assert "--against is given 2 times; needed once" in result.stderr
    maps = ("--map", "woman=w", "--map", "man=m")
    assert call("audit", "--labels", labels, *maps).exit_code == 0

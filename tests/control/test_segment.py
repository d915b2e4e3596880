"""Segmentation: groups of colours, GrabCut, and classes of real networks with local weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ncavideo.control import make_field
from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, Field, View, make_view
from ncavideo.control.segmenters import Segmenter
from ncavideo.control.segmenters.grabcut import GrabCut, parse_box
from ncavideo.control.segmenters.hub_model import HubModel
from ncavideo.control.segmenters.kmeans import KMeans, parse_part
from ncavideo.control.segmenters.semantic import CLASSES, Semantic, class_index
from ncavideo.control.spec import parse_control
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 72, 96


def make(argument: str, context: Context | None = None) -> Field:
    return make_field(parse_control(f"segment:{argument}"), context or Context(Path()))


def frame_view(rgb: np.ndarray, time: float = 0.0, grid: tuple[int, int] | None = None) -> View:
    picture = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return make_view(picture, *(grid or picture.shape[:2]), time)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def overlap(found: np.ndarray, there: np.ndarray) -> float:
    """Return intersection over union."""
    return float(((found > 0.5) & there).sum() / ((found > 0.5) | there).sum())


# Groups of colours

FLAGS = [(0.9, 0.8, 0.3), (0.3, 0.55, 0.3), (0.1, 0.1, 0.35)]


def three_stripes(seed: int, dim: float = 1.0) -> np.ndarray:
    picture = np.repeat(np.repeat(np.array(FLAGS)[None], WIDTH // 3, 1), HEIGHT, 0)
    noise = np.random.default_rng(seed).normal(0, 0.03, picture.shape)
    return np.clip(picture * dim + noise, 0, 1)


def test_three_colours_are_three_groups_the_brightest_first() -> None:
    context = Context(Path())
    fields = [make(f"kmeans:{part}of3", context) for part in (1, 2, 3)]
    view = frame_view(three_stripes(0))
    found = [field.values(view) for field in fields]
    np.testing.assert_allclose(sum(found), 1, atol=1e-5)
    for part, values in enumerate(found):
        third = slice(part * WIDTH // 3 + 3, (part + 1) * WIDTH // 3 - 3)
        assert values[:, third].min() > 0.9
    assert len(context.shared) == 1


def test_groups_keep_their_names_while_the_light_changes() -> None:
    context = Context(Path())
    fields = [make(f"kmeans:{part}of3", context) for part in (1, 2, 3)]
    for index in range(50):
        dim = 1 - 0.45 * index / 49
        view = frame_view(three_stripes(index, dim), index / 25)
        found = np.stack([field.values(view) for field in fields])
        winners = found.argmax(0)
        for part in range(3):
            third = winners[:, part * WIDTH // 3 + 3 : (part + 1) * WIDTH // 3 - 3]
            assert (third == part).mean() > 0.93, index


def test_a_group_keeps_its_name_when_it_turns_brighter_than_another() -> None:
    context = Context(Path())
    first, second = (make(f"kmeans:{part}of2", context) for part in (1, 2))
    for index in range(60):
        share = index / 59
        picture = np.zeros((HEIGHT, WIDTH, 3))
        picture[:, : WIDTH // 2] = np.array((0.9, 0.3, 0.3)) * (1 - 0.6 * share)
        picture[:, WIDTH // 2 :] = np.array((0.2, 0.3, 0.9)) * (0.4 + 0.6 * share)
        view = frame_view(picture, index / 25)
        left, right = first.values(view), second.values(view)
    assert left[:, : WIDTH // 2 - 3].min() > 0.9
    assert right[:, WIDTH // 2 + 3 :].min() > 0.9


def test_groups_are_shared_out_between_rules() -> None:
    driver = Driver(("fire", "moss", "water"), ["segment:kmeans"], Context(Path()))
    weights = driver.weights(frame_view(three_stripes(1)))
    for rule in range(3):
        assert weights[rule][:, rule * 32 + 3 : rule * 32 + 29].min() > 0.9
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 3)])
@pytest.mark.parametrize("argument", ["kmeans:1of3", "grabcut"])
def test_tiny_frames(size: tuple[int, int], argument: str) -> None:
    field = make(argument)
    for index in range(2):
        found = field.values(frame_view(np.full((*size, 3), 0.5), index / 25))
        assert found.shape == size
        assert np.isfinite(found).all()


# GrabCut


def textured(seed: int, colour: tuple[float, float, float], spread: float = 0.12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, spread, (HEIGHT // 3, WIDTH // 3, 3)).astype(np.float32)
    return np.clip(np.array(colour) + cv2.resize(coarse, (WIDTH, HEIGHT)), 0, 1)


def test_what_is_in_the_box_is_followed() -> None:
    ground, thing = textured(1, (0.25, 0.4, 0.25)), textured(2, (0.8, 0.45, 0.2))
    field = make("grabcut:0.1,0.1,0.55,0.8")
    for index in range(20):
        there = disc(34 + index * 2, 36, 17)
        found = field.values(frame_view(np.where(there[..., None], thing, ground), index / 25))
        assert overlap(found, there) > 0.9, index


def test_an_even_frame_has_no_object() -> None:
    field = make("grabcut")
    assert np.isfinite(field.values(frame_view(np.full((HEIGHT, WIDTH, 3), 0.5)))).all()


# Torchvision


@pytest.fixture(scope="module")
def lraspp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the default model, random, as torchvision would save them."""
    from torchvision.models import get_model

    torch.manual_seed(0)
    network = get_model(
        "lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=21
    )
    path = tmp_path_factory.mktemp("weights") / "lraspp.pth"
    torch.save(network.state_dict(), path)
    return path


def test_a_class_is_what_torchvision_says(lraspp: Path) -> None:
    """To a hundredth of how much the answer differs over the frame: channels, scale and all."""
    from torchvision.models import get_model
    from torchvision.transforms._presets import SemanticSegmentation

    # At the size that the network works at, so that nothing hangs on two ways of resizing.
    rng = np.random.default_rng(3)
    rgb = cv2.resize(rng.random((9, 12, 3)).astype(np.float32), (696, 520))
    view = frame_view(rgb, grid=(65, 87))
    context = Context(Path())
    found = {name: make(f"{name}@{lraspp}", context).values(view) for name in ("person", "car")}
    assert len(context.shared) == 1

    network = get_model(
        "lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=21
    ).eval()
    network.load_state_dict(torch.load(lraspp, weights_only=True))
    preset = SemanticSegmentation(resize_size=520)

    def torchvisions(picture: np.ndarray, name: str) -> np.ndarray:
        with torch.inference_mode():
            batch = preset(torch.from_numpy(picture.copy()).permute(2, 0, 1))[None]
            shares = network(batch)["out"][0].softmax(0).numpy()
        return cv2.resize(shares[CLASSES.index(name)], (87, 65), interpolation=cv2.INTER_AREA)

    for name, values in found.items():
        wanted = torchvisions(view.source, name)
        tolerance = 0.01 * float(np.ptp(wanted))
        np.testing.assert_allclose(values, wanted, rtol=0, atol=tolerance)
        # Fine enough to tell: with two channels swapped the answer is another.
        swapped = torchvisions(view.source[..., ::-1], name)
        assert np.abs(swapped - wanted).max() > 5 * tolerance


def test_the_classes_are_torchvisions() -> None:
    from torchvision.models import get_model_weights

    names = get_model_weights("lraspp_mobilenet_v3_large").DEFAULT.meta["categories"]
    assert [name.strip("_") for name in names] == CLASSES


@pytest.mark.parametrize(
    ("argument", "match"),
    [
        ("persn@{0}", "did you mean person"),
        ("sky@{0}", "only background, aeroplane"),
        ("person@{1}", "not a file of weights"),
        ("person@none.pth", "no file none.pth"),
        ("person@deeplabv3_resnet50={0}", "not those of deeplabv3_resnet50"),
        ("person@deeplab_resnet50", "did|use"),
        ("", "segment:person"),
        ("kmeans:4of3", "group"),
        ("kmeans:1of99", "group"),
        ("grabcut:1,1,1", "box"),
        ("grabcut:0.5,0.5,0.6,0.6", "box"),
        ("person@hf:nowhere", "no folder"),
        ("person@hf:{2}", "no segmentation model"),
    ],
)
def test_segmentation_that_cannot_be(
    argument: str, match: str, lraspp: Path, tmp_path: Path
) -> None:
    noise = tmp_path / "noise.pth"
    noise.write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=match) as caught:
        make(argument.format(lraspp, noise, tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [5, [1, 2], {1: 2}, torch.zeros(3)], ids=["number", "list", "numbers", "tensor"]
)
def test_files_that_hold_something_else(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(UserError, match="holds no weights by name"):
        make(f"person@{tmp_path}/odd.pth")


def test_a_path_may_hold_an_equals_sign(lraspp: Path, tmp_path: Path) -> None:
    (tmp_path / "a=b.pth").write_bytes(lraspp.read_bytes())
    for argument in ("", "lraspp_mobilenet_v3_large="):
        assert make(f"person@{argument}{tmp_path}/a=b.pth") is not None


def test_no_weights_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the network gets them; here the address is one that nobody answers at."""
    from torchvision.models import get_model_weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    # urllib keeps the proxies that it first met for the rest of the process.
    monkeypatch.setattr("urllib.request._opener", None)
    with pytest.raises(UserError, match="could not be downloaded") as caught:
        make("person@lraspp_mobilenet_v3_large")
    assert get_model_weights("lraspp_mobilenet_v3_large").DEFAULT.url in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "cut", "foreign"])
def test_a_damaged_download(
    damage: str, lraspp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Foreign weights fit: only their hash tells."""
    from torchvision.models import get_model_weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = get_model_weights("lraspp_mobilenet_v3_large").DEFAULT.url
    path = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    data = lraspp.read_bytes()
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "foreign": data}[damage])
    with pytest.raises(UserError, match="damaged: delete the file") as caught:
        make("person@lraspp_mobilenet_v3_large")
    assert str(path) in str(caught.value)


def test_synonyms() -> None:
    names = ["wall", "building;edifice", "sky", "tree, woody plant"]
    assert class_index("Edifice", names) == 1
    assert class_index("woody plant", names) == 3
    with pytest.raises(UserError, match="sky"):
        class_index("skye", names)
    assert parse_part("") == (0, 2)


# Transformers


@pytest.fixture(scope="module")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SegFormer that has learnt, in seconds, to tell red from blue discs."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    labels = {0: "ground", 1: "red thing;ember", 2: "blue thing"}
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[16, 32],
        patch_sizes=[3, 3], strides=[2, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
        decoder_hidden_size=32, id2label=labels, label2id={v: k for k, v in labels.items()},
        hidden_dropout_prob=0.0, classifier_dropout_prob=0.0, drop_path_rate=0.0,
    )  # fmt: skip
    network = transformers.SegformerForSemanticSegmentation(config)
    rng = np.random.default_rng(5)
    optimiser = torch.optim.Adam(network.parameters(), 4e-3)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for _ in range(60):
        pictures, truths = [], []
        for _ in range(4):
            picture, truth = (
                np.full((HEIGHT, WIDTH, 3), rng.uniform(0.2, 0.8)),
                np.zeros((HEIGHT, WIDTH), int),
            )
            for number, colour in ((1, (0.9, 0.15, 0.1)), (2, (0.1, 0.2, 0.9))):
                there = disc(rng.uniform(10, 86), rng.uniform(10, 62), rng.uniform(8, 20))
                picture[there], truth[there] = colour, number
            pictures.append((picture - mean) / deviation)
            truths.append(truth)
        batch = torch.from_numpy(np.stack(pictures)).float().permute(0, 3, 1, 2)
        loss = network(pixel_values=batch, labels=torch.from_numpy(np.stack(truths))).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("segformer")
    network.save_pretrained(folder)
    processor = {
        "image_processor_type": "SegformerImageProcessor", "do_resize": True,
        "size": {"height": HEIGHT, "width": WIDTH}, "do_normalize": True,
        "image_mean": mean.tolist(), "image_std": deviation.tolist(), "do_rescale": True,
        "rescale_factor": 1 / 255, "do_reduce_labels": False, "resample": 2,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_a_moving_disc_by_its_class(segformer: Path) -> None:
    context = Context(Path())
    red, blue = (make(f"{name}@hf:{segformer}", context) for name in ("ember", "Blue thing"))
    for index in range(6):
        picture = np.full((HEIGHT, WIDTH, 3), 0.5)
        left, right = disc(20 + 5 * index, 24, 13), disc(70, 60 - 5 * index, 9)
        picture[left], picture[right & ~left] = (0.9, 0.15, 0.1), (0.1, 0.2, 0.9)
        view = frame_view(picture, index / 25)
        assert overlap(red.values(view), left) > 0.75
        assert overlap(blue.values(view), right & ~left) > 0.7
    with pytest.raises(UserError, match="red thing"):
        make(f"red think@hf:{segformer}", context)
    for size in ((1, 1), (1, 7), (3, 3), (2, 300)):
        assert red.values(frame_view(np.full((*size, 3), 0.5))).shape == size


def saved(folder: Path, network: object, processor: object) -> Path:
    network.save_pretrained(folder)  # type: ignore[attr-defined]
    processor.save_pretrained(folder)  # type: ignore[attr-defined]
    return folder


def named(count: int) -> dict[str, dict]:
    labels = {index: f"class {index}" for index in range(count)}
    return {"id2label": labels, "label2id": {name: index for index, name in labels.items()}}


def loosened(network: torch.nn.Module) -> None:
    """Give a network random weights with which its answers differ from place to place."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)


def cropping(kind: str, folder: Path) -> Path:
    """A small network, its weights random, whose image processor shows it a square of the middle.

    So do those that apple and google publish.
    """
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    square, crop = {"shortest_edge": 72}, {"height": 64, "width": 64}
    if kind == "mobilevit":
        config = transformers.MobileViTConfig(
            hidden_sizes=[24, 32, 40], neck_hidden_sizes=[8, 8, 16, 16, 24, 32, 40],
            num_attention_heads=2, aspp_out_channels=16, image_size=64, **named(3),
        )  # fmt: skip
        network = transformers.MobileViTForSemanticSegmentation(config)
        processor = transformers.MobileViTImageProcessor(size=square, crop_size=crop)
    elif kind == "mobilenet":
        config = transformers.MobileNetV2Config(depth_multiplier=0.35, image_size=64, **named(3))
        network = transformers.MobileNetV2ForSemanticSegmentation(config)
        processor = transformers.MobileNetV2ImageProcessor(size=square, crop_size=crop)
    else:
        config = transformers.BeitConfig(
            hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
            image_size=64, out_indices=[1, 2, 3, 4], pool_scales=[1, 2], use_auxiliary_head=False,
            use_relative_position_bias=True, **named(3),
        )  # fmt: skip
        network = transformers.BeitForSemanticSegmentation(config)
        processor = transformers.BeitImageProcessor(
            size={"height": 72, "width": 72}, do_center_crop=True, crop_size=crop
        )
    assert processor.do_center_crop
    loosened(network)
    for module in network.modules():  # batch norms know nothing but what they have seen
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(pixel_values=torch.rand(4, 3, 64, 64))
    return saved(folder, network, processor)


@pytest.mark.parametrize("size", [(90, 160), (160, 90)])
@pytest.mark.parametrize("kind", ["mobilevit", "mobilenet", "beit"])
def test_a_network_sees_every_fifth_of_a_frame(
    kind: str, size: tuple[int, int], tmp_path: Path
) -> None:
    field = make(f"class 1@hf:{cropping(kind, tmp_path)}")
    rng = np.random.default_rng(2)
    frame = cv2.resize(rng.random((9, 9, 3)).astype(np.float32), size[::-1])
    before = field.values(frame_view(frame))
    for part in range(5):
        rows, columns = (slice(side * part // 5, side * (part + 1) // 5) for side in size)
        other = frame.copy()
        where = (slice(None), columns) if size[1] > size[0] else (rows, slice(None))
        other[where] = 1 - other[where]
        assert np.abs(field.values(frame_view(other)) - before).max() > 1e-5, part


@pytest.mark.parametrize("kind", ["MobileNetV2", "Beit"])
def test_a_disc_at_the_edge_is_seen_where_it_is(kind: str, segformer: Path, tmp_path: Path) -> None:
    """With image processors that would show the network the middle of the frame."""
    transformers = pytest.importorskip("transformers")
    shorter, crop = {"shortest_edge": 72}, {"height": 64, "width": 112}
    size = shorter if kind == "MobileNetV2" else {"height": 90, "width": 140}
    processor = getattr(transformers, f"{kind}ImageProcessor")(
        size=size, crop_size=crop, do_center_crop=True,
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
    )  # fmt: skip
    network = transformers.SegformerForSemanticSegmentation.from_pretrained(segformer)
    field = make(f"ember@hf:{saved(tmp_path, network, processor)}")
    rows, columns = np.mgrid[:72, :128]
    for x, y in ((10, 36), (117, 20), (64, 64)):
        there = (rows - y) ** 2 + (columns - x) ** 2 < 12**2
        picture = np.where(there[..., None], (0.9, 0.15, 0.1), 0.5)
        assert overlap(field.values(frame_view(picture)), there) > 0.7


def eomt(folder: Path, **processing: object) -> tuple[Path, object, object]:
    transformers = pytest.importorskip("transformers", minversion="4.53")
    pytest.importorskip("scipy")  # which its loss asks for
    torch.manual_seed(4)
    config = transformers.EomtConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
        num_blocks=1, num_queries=6, num_upscale_blocks=1, num_register_tokens=0, **named(3),
    )  # fmt: skip
    network = transformers.EomtForUniversalSegmentation(config).eval()
    loosened(network)
    processor = transformers.EomtImageProcessor(**processing)
    return saved(folder, network, processor), network, processor


@pytest.mark.parametrize("size", [(96, 192), (180, 100), (80, 80)])
@pytest.mark.parametrize("way", ["split", "padded"])
def test_a_frame_in_pieces_is_put_together(way: str, size: tuple[int, int], tmp_path: Path) -> None:
    """As the processor's own functions do it, which know no probabilities."""
    edges = {"shortest_edge": 64, "longest_edge": None if way == "split" else 64}
    folder, network, processor = eomt(
        tmp_path, size=edges, do_split_image=way == "split", do_pad=way == "padded"
    )
    frame = cv2.resize(np.random.default_rng(6).random((12, 12, 3)).astype(np.float32), size[::-1])
    view = frame_view(frame)
    context = Context(Path())
    found = [make(f"class {part}@hf:{folder}", context).values(view) for part in range(3)]

    inputs = processor(images=view.source, return_tensors="pt")
    with torch.inference_mode():
        out = network(pixel_values=inputs["pixel_values"])
        classes = out.class_queries_logits.softmax(-1)[..., :-1]
        shares = torch.einsum("bqc,bqhw->bchw", classes, out.masks_queries_logits.sigmoid())
        shares = torch.nn.functional.interpolate(shares.clamp(0, 1), (64, 64), mode="bilinear")
        if way == "split":
            assert len(shares) == (1 if size[0] == size[1] else 2)
            offsets = [[int(n) for n in entry] for entry in inputs["patch_offsets"]]
            (wanted,) = processor.merge_image_patches(shares, offsets, [size], edges)
        else:
            (wanted,) = processor.unpad_image(shares, [size], edges)
    for values, expected in zip(found, wanted.numpy(), strict=True):
        assert expected.std() > 0.01
        assert np.corrcoef(values.ravel(), expected.ravel())[0, 1] > 0.97
        assert np.abs(values - expected).mean() < 0.15 * expected.std()


def test_a_processor_that_cuts_all_the_same(segformer: Path, tmp_path: Path) -> None:
    """ConvNeXt's, with an input below 384 pixels, has no switch for it."""
    transformers = pytest.importorskip("transformers")
    network = transformers.SegformerForSemanticSegmentation.from_pretrained(segformer)
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 64})
    field = make(f"ember@hf:{saved(tmp_path, network, processor)}")
    with pytest.raises(UserError, match="a part of the frame only") as caught:
        field.values(frame_view(np.full((HEIGHT, WIDTH, 3), 0.5)))
    assert "\n" not in str(caught.value)


def test_what_a_model_lacks_is_one_sentence(
    segformer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers says it in several lines, the first of them empty."""
    transformers = pytest.importorskip("transformers")

    def lacking(*_: object, **__: object) -> None:
        raise ImportError("\nEomtLoss requires scipy.\nYou can install it with pip:\n")

    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", lacking)
    with pytest.raises(UserError, match=r"another package \(EomtLoss requires scipy") as caught:
        make(f"ember@hf:{segformer}")
    assert "\n" not in str(caught.value)


# The contract of every segmenter


@pytest.fixture(params=["kmeans:2", "grabcut", "torchvision", "hub"])
def segmenter_maker(request: pytest.FixtureRequest) -> Callable[[], Segmenter]:
    if request.param == "kmeans:2":
        return lambda: KMeans(2)
    if request.param == "grabcut":
        return lambda: GrabCut(parse_box(""))
    if request.param == "torchvision":
        weights = request.getfixturevalue("lraspp")
        return lambda: Semantic.parse(str(weights))
    folder = request.getfixturevalue("segformer")
    return lambda: HubModel(str(folder))


class TestSegmenterContract:
    @staticmethod
    def views() -> list[View]:
        found = []
        for index in range(4):
            picture = three_stripes(index)
            picture[disc(40 + 4 * index, 36, 14)] = 0.9, 0.15, 0.1
            found.append(frame_view(picture, index / 25, grid=(24, 32)))
        return found

    def test_parts_are_float32_from_0_to_1_on_the_grid(
        self, segmenter_maker: Callable[[], Segmenter]
    ) -> None:
        segmenter = segmenter_maker()
        for view in self.views():
            parts = segmenter(view)
            assert parts.ndim == 3 and parts.shape[1:] == (24, 32) and parts.dtype == np.float32
            assert parts.min() >= 0 and parts.max() <= 1 + 1e-6
            assert parts.sum(0).max() <= 1 + 1e-4

    def test_a_restored_segmenter_continues_bit_for_bit(
        self, segmenter_maker: Callable[[], Segmenter]
    ) -> None:
        through, views = segmenter_maker(), self.views()
        for view in views[:2]:
            through(view)
        assert not through.needs_replay
        state = through.state_dict()
        rest = [through(view).copy() for view in views[2:]]
        resumed = segmenter_maker()
        resumed.load_state_dict(state)
        for view, wanted in zip(views[2:], rest, strict=True):
            np.testing.assert_array_equal(resumed(view), wanted)

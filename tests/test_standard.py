import pytest

from accel.core import Case
from accel.methods import METHODS, parse
from accel.models import MODELS, default_request
from accel.standard import CHAINS, TABLE_1, standard, unshipped


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weights", ["mini", "untrained", "pretrained"])
@pytest.mark.parametrize("on_gpu", [True, False])
def test_every_method_parses_once(model, weights, on_gpu):
    texts = standard(model, weights, on_gpu)
    request = default_request(model, "mini")
    cases = {Case(model, "mini", request, parse(text)).id for text in texts}
    assert len(cases) == len(texts)
    assert texts[0] == "reference"


def test_table_1_has_every_method():
    assert {parse(text).name for text in TABLE_1} == set(METHODS)


def test_svd_xt_on_a_gpu_gets_the_whole_table_and_the_chains():
    assert standard("svd-xt", "untrained", on_gpu=True) == (*TABLE_1, *CHAINS)


def test_a_cpu_compiles_nothing():
    for model in MODELS:
        assert not any("torch_compile" in t for t in standard(model, "mini", on_gpu=False))


def test_with_their_files_the_table_is_whole():
    files = {"student": "lcm.safetensors", "tiny_decoder": "taesdv.pth"}
    texts = standard("svd-xt", "pretrained", True, files)
    assert len(texts) == len((*TABLE_1, *CHAINS))
    assert "distilled:weights=lcm.safetensors" in texts
    assert "lcm:4,weights=lcm.safetensors+tiny_vae:weights=taesdv.pth" in texts
    assert "lcm:4,weights=lcm.safetensors+keyframes:7+torch_compile:decoder=true" in texts
    assert all(parse(text) for text in texts)
    assert unshipped("svd-xt", "pretrained", True, files) == ()


def test_a_student_alone_leaves_the_tiny_decoder_out():
    left = unshipped("svd-xt", "pretrained", False, {"student": "lcm.safetensors"})
    assert left == ("tiny_vae", "lcm:4,weights=lcm.safetensors+tiny_vae")


def test_what_is_not_shipped_is_not_measured_unasked():
    texts = standard("svd-xt", "pretrained", on_gpu=False)
    names = {parse(text).name for text in texts}
    assert "keyframes" in names
    assert not names & {"lcm", "distilled", "tiny_vae", "chain"}
    assert not any("tiny_vae" in text for text in texts)


def test_the_mini_models_have_their_files():
    assert standard("svd-xt", "mini", on_gpu=True) == (*TABLE_1, *CHAINS)
    assert unshipped("svd-xt", "mini", on_gpu=True) == ()

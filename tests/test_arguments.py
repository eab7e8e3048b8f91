"""The command line, as a record keeps it."""

import pytest

from accel.arguments import typed


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["refresh", "svd", "--from", "runs/mine"], "accel refresh svd --from runs/mine"),
        (["bench", "svd", "--out", "/home/me/run"], "accel bench svd --out run"),
        (["bench", "svd", "--path=/models/svd/"], "accel bench svd --path=svd/"),
        (["x", "lcm:4,weights=/a/b/c.st+y:z=/d/e"], "accel x lcm:4,weights=c.st+y:z=e"),
        (["x", "--reason", "a/b and /c"], "accel x --reason 'a/b and /c'"),
    ],
)
def test_no_folder_of_the_machine_is_kept(words, kept):
    assert typed(words) == kept

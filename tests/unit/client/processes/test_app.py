"""Finding an app by what it is called: each way to miss it is told in one line."""

import pytest

from kern.client.processes.app import load_app
from kern.errors import InvalidInput


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("no.such.module:agents", "There is no module 'no'"),
        ("tests.support.apps:missing", "Components in it: breaking, publishing, refunds"),
        ("tests.support.apps:number", "a value of type int"),
        ("tests.support.apps:nothing", "holds no component"),
        ("tests.support.waiting", "declares no component"),
        ("nowhere.py:agents", "There is no file 'nowhere.py'"),
        (":agents", "names no app"),
    ],
)
def test_a_wrong_app_is_refused(app: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        load_app(app)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2

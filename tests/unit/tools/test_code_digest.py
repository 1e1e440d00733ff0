"""The digest of a predicate's code: the same in another process, another for other behaviour."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from kern.tools.code_digest import code_digest

SOURCE = """
from dataclasses import dataclass
LIMIT = {limit}
NAMES = {{"ann", "bob", "carla", "dana"}}
@dataclass
class Bound:
    most: int = {limit}
BOUND = Bound()
def is_large(amount):
    return amount > LIMIT
def made(limit):
    return lambda amount: amount > limit
class Judge:
    def __init__(self):
        self.limit = {limit}
    def __call__(self, amount):
        return amount > self.limit
    def judge(self, amount):
        return amount > self.limit
class Rules:
    LIMIT = {limit}
    @staticmethod
    def judge(amount):
        return amount > {limit}
predicates = {{
    "global": is_large,
    "through another function": lambda amount: is_large(amount),
    "constant": lambda amount: amount > {limit},
    "closure": made({limit}),
    "default": lambda amount, limit={limit}: amount > limit,
    "value object": lambda amount: amount > BOUND.most,
    "class attribute": lambda amount: amount > Rules.LIMIT,
    "static method": lambda amount: Rules.judge(amount),
    "callable object": Judge(),
    "bound method": Judge().judge,
    "inner function": lambda amount: (lambda: amount > {limit})(),
    "keyword default": made({limit}) and (lambda amount, *, limit={limit}: amount > limit),
}}
"""
NAMES = (
    "global",
    "through another function",
    "constant",
    "closure",
    "default",
    "value object",
    "class attribute",
    "static method",
    "callable object",
    "bound method",
    "inner function",
    "keyword default",
)


def digests(limit: int) -> dict[str, str]:
    space: dict[str, object] = {"__name__": "app"}
    exec(compile(SOURCE.format(limit=limit), "app.py", "exec"), space)  # noqa: S102  our own
    predicates = space["predicates"]
    assert isinstance(predicates, dict)
    return {name: code_digest(predicate) for name, predicate in predicates.items()}


@pytest.mark.parametrize("name", NAMES)
def test_another_limit_is_other_code_wherever_the_limit_comes_from(name: str) -> None:
    assert digests(100)[name] == digests(100)[name]
    assert digests(100)[name] != digests(101)[name]


def test_a_process_of_its_own_has_the_same_digests(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        SOURCE.format(limit=100)
        + "from kern.tools.code_digest import code_digest\n"
        + "names = lambda amount: amount in NAMES and amount in {'x', 'y', 'z'}\n"
        + "print([code_digest(item) for item in [*predicates.values(), names]])\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, str(script)],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


# Each is a program with a predicate, which decides by the limit.
DIFFERENT = {
    "decimal": "from decimal import Decimal\nL = Decimal('{limit}')\np = lambda a: a > L",
    "timedelta": "from datetime import timedelta\nL = timedelta({limit})\np = lambda a: a > L",
    "fraction": "from fractions import Fraction\nL = Fraction({limit}, 7)\np = lambda a: a > L",
    "pattern": "import re\nL = re.compile('{limit}')\np = lambda a: bool(L.match(a))",
    "range": "L = range({limit})\np = lambda a: a in L",
    "deque": "from collections import deque\nL = deque([{limit}])\np = lambda a: a in L",
    "array": "from array import array\nL = array('i', [{limit}])\np = lambda a: a in L",
    "namespace": "import types\nL = types.SimpleNamespace(l={limit})\np = lambda a: a > L.l",
    "plain object": "class C: pass\nL = C()\nL.l = {limit}\np = lambda a: a > L.l",
    "object with slots": "class C:\n  __slots__ = ('__l',)\n  def __init__(self, l):\n"
    "    self.__l = l\n  def __call__(self, a):\n    return a > self.__l\np = C({limit})",
    "object with a lock": "import threading\nclass C: pass\nL = C()\nL.lock = threading.Lock()\n"
    "L.l = {limit}\np = lambda a: a > L.l",
    "subclass of int": "class I(int):\n  def __lt__(self, a):\n    return a > {limit}\n"
    "L = I(1)\np = lambda a: a > L",
    "pydantic default": "from pydantic import BaseModel\nclass D(BaseModel):\n  l: int = {limit}\n"
    "p = lambda a: a > D().l",
    "dataclass factory": "import dataclasses as d\n@d.dataclass\nclass D:\n"
    "  l: int = d.field(default_factory=lambda: {limit})\np = lambda a: a > D().l",
    "cached property": "from functools import cached_property\nclass C:\n  @cached_property\n"
    "  def l(self):\n    return {limit}\nL = C()\np = lambda a: a > L.l",
    "descriptor": "class D:\n  def __get__(self, *_):\n    return {limit}\nclass C:\n  l = D()\n"
    "p = lambda a: a > C.l",
    "singledispatch": "from functools import singledispatch\n@singledispatch\ndef f(a):\n"
    "  return True\n@f.register\ndef _(a: int):\n  return a > {limit}\np = lambda a: f(a)",
    "cached function": "from functools import lru_cache\n@lru_cache\ndef f(a):\n"
    "  return a > {limit}\np = lambda a: f(a)",
    "default factory": "from collections import defaultdict\nL = defaultdict(lambda: {limit})\n"
    "p = lambda a: a > L['x']",
    "itemgetter": "from operator import itemgetter\np = itemgetter('{limit}')",
    "bound builtin": "p = {{'x': {limit}}}.get",
    "method wrapper": "p = ({limit}).__lt__",
    "partial": "from functools import partial\nf = lambda l, a: a > l\np = partial(f, {limit})",
    "attribute of a function": "def p(a):\n  return a > p.l\np.l = {limit}",
    "enum": "from enum import Enum\nclass E(Enum):\n  l = {limit}\np = lambda a: a > E.l.value",
    "the same twice": "class C: pass\nA, B = C(), C()\nA.l = 1\nB.l = 2\n"
    "L = [A, B, A if {limit} == 100 else B]\np = lambda a: a > L[2].l",
    "deep": "L = [{limit}]\nfor _ in range(3000): L = [L]\np = lambda a: L",
    "nested model": "from pydantic import BaseModel, Field\nclass I(BaseModel):\n"
    "  a: int = Field(le={limit})\nclass O(BaseModel):\n  i: I\np = lambda a: O(i=a)",
    "literal of a model": "from typing import Literal\nfrom pydantic import BaseModel\n"
    "class M(BaseModel):\n  c: Literal[{limit}]\np = lambda a: M(c=a)",
    "annotation inside another": "from typing import Annotated\nfrom pydantic import *\n"
    "class M(BaseModel):\n  c: list[Annotated[int, Field(le={limit})] | None]\n"
    "p = lambda a: M(c=a)",
    "type adapter": "from typing import Annotated\nfrom pydantic import *\n"
    "T = TypeAdapter(Annotated[int, Field(le={limit})])\np = lambda a: T.validate_python(a)",
    "mode of a validator": "from pydantic import *\nclass M(BaseModel):\n  a: int\n"
    "  @field_validator('a', mode='before' if {limit} == 100 else 'after')\n"
    "  def f(cls, a): return a\np = lambda a: M(a=a)",
    "pydantic dataclass": "from typing import Literal\nfrom pydantic.dataclasses import dataclass\n"
    "@dataclass\nclass M:\n  c: Literal[{limit}]\np = lambda a: M(c=a)",
    "dataclass annotation": "from dataclasses import *\nfrom typing import Literal\n@dataclass\n"
    "class D:\n  c: Literal[{limit}] = 1\np = lambda a: fields(D)",
    "typed dict": "from typing import Literal, TypedDict\nclass D(TypedDict):\n"
    "  c: Literal[{limit}]\np = lambda a: D",
    "annotation of a function": "from typing import Literal\ndef p(a: Literal[{limit}]):\n"
    "  return p.__annotations__",
    "alias of a type": "from typing import Literal, get_args\nC = Literal[{limit}]\n"
    "p = lambda a: a in get_args(C)",
    "large list": "L = [{{'a': i}} for i in range(21000)] + [{{'a': {limit}}}]\n"
    "p = lambda a: a in L",
    "large set": "L = {{('a', i) for i in range(-21000, 0)}} | {{('a', {limit})}}\n"
    "p = lambda a: a in L",
    "attribute with underscores": "class C:\n  __limit__ = {limit}\np = lambda a: a > C.__limit__",
    "globals": "limit_EUR = {limit}\np = lambda a: a > globals()['limit_' + 'EUR']",
    "eval": "LIMIT = {limit}\np = lambda a: a > eval('LIM' + 'IT')",
    "alias of globals": "LIMIT = {limit}\ng = globals\np = lambda a: a > g()['LIM' + 'IT']",
    "getattr of a module": "import types\nm = types.ModuleType('m')\nm.LIMIT = {limit}\n"
    "p = lambda a: a > getattr(m, 'LIM' + 'IT')",
    "vars of a module": "import types\nm = types.ModuleType('m')\nm.LIMIT = {limit}\n"
    "p = lambda a: a > vars(m)['LIM' + 'IT']",
    "context variable": "from contextvars import ContextVar\nV = ContextVar('V', default={limit})\n"
    "p = lambda a: a > V.get()",
    "weak reference": "import weakref\nclass C: pass\nL = C()\nL.l = {limit}\nR = weakref.ref(L)\n"
    "p = lambda a: a > R().l",
    "weak values": "import weakref\nclass C: pass\nL = C()\nL.l = {limit}\n"
    "R = weakref.WeakValueDictionary(a=L)\np = lambda a: a > R['a'].l",
    "weak set": "import weakref\nclass C: pass\nL = C()\nL.l = {limit}\n"
    "R = weakref.WeakSet([L])\np = lambda a: a > [*R][0].l",
    "set on builtins": "import builtins\nbuiltins.kern_limit = {limit}\n"
    "p = lambda a: a > kern_limit",
    "attribute of builtins": "import builtins\nbuiltins.kern_limit = {limit}\n"
    "p = lambda a: a > builtins.kern_limit",
    "set on Python's module": "import math\nmath.kern_limit = {limit}\n"
    "p = lambda a: a > math.kern_limit",
    "generator": "def f(l):\n  while True: yield l\nG = f({limit})\np = lambda a: a > next(G)",
    "memory view": "L = memoryview(b'{limit}')\np = lambda a: a > int(bytes(L))",
    "text in memory": "import io\nL = io.StringIO('{limit}')\np = lambda a: a > int(L.getvalue())",
    "view of a dict": "L = {{'a': {limit}}}.values()\np = lambda a: a in L",
    "wrapped method": "class C:\n  def __new__(cls):\n    return {limit}\np = lambda a: a > C()",
}


def predicate_of(source: str) -> object:
    space: dict[str, object] = {"__name__": "app"}
    exec(compile(source, "app.py", "exec"), space)  # noqa: S102  our own
    return space["p"]


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_decides_counts_by_its_value(name: str) -> None:
    first, again, later = (
        code_digest(predicate_of(DIFFERENT[name].format(limit=limit))) for limit in (100, 100, 101)
    )
    assert first == again
    assert first != later


@pytest.mark.parametrize(
    "held",
    [
        "threading.Lock()",
        "logging.getLogger('{id}')",
        "socket.socket()",
        "open('/dev/null')",
        "random.Random()",
        "sqlite3.connect(':memory:')",
        "queue.Queue({id})",
        "httpx2.Client(headers={{'id': '{id}'}})",
    ],
)
def test_what_lives_in_a_process_counts_by_its_type(held: str) -> None:
    head = "import httpx2, logging, queue, random, socket, sqlite3, threading\n"
    opened: list[object] = []
    digests = set()
    for id_ in (1, 2):
        predicate = predicate_of(f"{head}L = {held.format(id=id_)}\np = lambda a: L")
        opened.append(getattr(predicate, "__globals__", {})["L"])
        digests.add(code_digest(predicate))
    for item in opened:
        close = getattr(item, "close", None)
        if close is not None:
            close()
    assert len(digests) == 1


MODULES = {
    "module": "import rules\np = lambda a: rules.is_large(a)",
    "alias": "import rules as r\np = lambda a: r.is_large(a)",
    "chain": "import package.inner\np = lambda a: package.inner.rules.is_large(a)",
    "inside the body": "def p(a):\n  import rules\n  return rules.is_large(a)",
    "name inside the body": "def p(a):\n  from package.inner import rules\n  return rules",
    "by its name": "import rules\np = lambda a: getattr(rules, 'is_' + 'large')(a)",
    "installed": "from library import p",
    "installed helper": "import library\np = lambda a: library.p(a)",
    "installed name": "from library import p as q\np = lambda a: q(a)",
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_count_by_their_content_and_not_by_their_place(name: str, tmp_path: Path) -> None:
    seen = []
    for number, limit in enumerate((100, 100, 101)):
        folder = tmp_path / str(number)
        files = {
            "limits.py": f"LIMIT = {limit}",
            "rules.py": "import limits\ndef is_large(a):\n  return a > limits.LIMIT",
            "package/__init__.py": "",
            "package/inner.py": "import rules",
            "site-packages/library.py": f"def p(a):\n  return a > {limit}",
            "app.py": MODULES[name]
            + "\nimport random; random.seed(1)"
            + "\nfrom kern.tools.code_digest import code_digest\nbefore = code_digest(p)\n"
            + "try: p(1)\nexcept AttributeError: pass\n"
            + "assert code_digest(p) == before\nprint(before)\n",
        }
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        seen.append(printed(folder / "app.py", str(number), str(folder / "site-packages")))
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


SEEDS = """
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, StrEnum, Flag
from kern.tools.code_digest import code_digest
class Color(Enum):
    red = "r"
    green = "g"
    blue = "b"
class Level(StrEnum):
    low = "low"
    high = "high"
class Bits(Flag):
    a = 1
    b = 2
@dataclass(frozen=True)
class Point:
    name: str
    def is_far(self):
        return self in POINTS
POINTS = frozenset(Point(name) for name in ("ann", "bob", "carla"))
COLORS = {Color.red, Color.green, Color.blue}
LEVELS = {level: {level} for level in {Level.low, Level.high}}
FUNCTIONS = {lambda: COLORS, lambda: POINTS, lambda: LEVELS}
class Names(set):
    pass
NAMES = Names(["ann", "bob", "carla"])
p = lambda a: a in COLORS or a in POINTS or a in LEVELS or a in FUNCTIONS or Bits(3) or a in NAMES
print(code_digest(p))
"""


def test_the_order_of_sets_does_not_count(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(SEEDS)
    assert len({printed(script, str(seed)) for seed in range(1, 6)}) == 1


def printed(script: Path, seed: str, path: str = "") -> str:
    return subprocess.run(
        [sys.executable, str(script)],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": path},
    ).stdout


IN_DOUBT = {
    "too many objects": "class C: pass\nL = [C() for _ in range(21000)]\np = lambda a: a in L",
    "what cannot be read": "import itertools, zlib\nL = zlib.compressobj()\np = lambda a: L",
}


@pytest.mark.parametrize("name", IN_DOUBT)
def test_what_is_in_doubt_equals_itself_in_one_process_only(name: str, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    code = "from kern.tools.code_digest import code_digest\nprint(code_digest(p), code_digest(p))\n"
    script.write_text(f"{IN_DOUBT[name]}\n{code}")
    digests = [printed(script, "1").split() for _ in range(2)]
    assert all(first == again for first, again in digests)
    assert digests[0] != digests[1]


def test_equal_processes_have_equal_digests(tmp_path: Path) -> None:
    names = [name for name in DIFFERENT if name != "deep"]
    for number, name in enumerate(names):
        text = f"{DIFFERENT[name].format(limit=100)}\n"
        (tmp_path / f"rules_{number}.py").write_text(text)
    script = tmp_path / "app.py"
    script.write_text(
        "from importlib import import_module\n"
        "from kern.tools.code_digest import code_digest\n"
        f"for number in range({len(names)}):\n"
        "    print(code_digest(import_module(f'rules_{number}').p))\n"
    )
    digests = [printed(script, seed).splitlines() for seed in ("1", "2")]
    assert len(digests[0]) == len(names)
    differing = [name for name, *pair in zip(names, *digests, strict=True) if len(set(pair)) > 1]
    assert differing == []


@pytest.mark.parametrize("code", [len, str.upper, partial(pow, 2), object(), NAMES, sys])
def test_whatever_may_be_called_has_a_digest(code: Callable[..., object]) -> None:
    assert len(code_digest(code)) == 64


def test_what_refers_to_itself_has_a_digest() -> None:
    def counts(number: int) -> bool:
        return number > 0 and counts(number - 1)

    assert len(code_digest(counts)) == 64


BY_NAME = {
    "import_module": "import importlib\np = lambda a: a > importlib.import_module('rules').L",
    "alias": "from importlib import import_module as load\np = lambda a: a > load('rules').L",
    "closure": "from importlib import import_module\ndef f(load):\n"
    "  return lambda a: a > load('rules').L\np = f(import_module)",
    "__import__": "p = lambda a: a > __import__('rules').L",
    "loaded modules": "import sys\np = lambda a: a > sys.modules['rules'].L",
    "get of loaded modules": "import sys\np = lambda a: a > sys.modules.get('rules').L",
    "inner function": "import importlib\ndef p(a):\n"
    "  return any(a > importlib.import_module('rules').L for _ in '1')",
}
_IN_A_PROCESS = (
    "import sys\nsys.path.insert(0, sys.argv[1])\nimport app\n"
    "from kern.tools.code_digest import code_digest\nprint(code_digest(app.p))"
)


def digest_in_a_process(folder: Path, source: str, limit: int) -> str:
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(source)
    (folder / "rules.py").write_text(f"L = {limit}\n")
    command = [sys.executable, "-c", _IN_A_PROCESS, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", BY_NAME)
def test_a_module_that_is_imported_by_its_name_counts_by_its_file(
    tmp_path: Path, name: str
) -> None:
    first, again, later = (
        digest_in_a_process(tmp_path / str(place), BY_NAME[name], limit)
        for place, limit in enumerate((100, 100, 101))
    )
    assert first == again
    assert first != later


@pytest.mark.parametrize(
    "source",
    [
        "import importlib\nNAME = 'rules'\np = lambda a: a > importlib.import_module(NAME).L",
        "import importlib\nload = [importlib.import_module]\np = lambda a: a > load[0]('rules').L",
        "p = lambda a: a > __import__('ru' + a).L",
        "import sys\nNAME = 'rules'\np = lambda a: a > sys.modules[NAME].L",
        "p = lambda a: a > eval(\"__import__('rules').L\")",
        "import runpy\np = lambda a: a > runpy.run_path('rules.py')['L']",
        "from importlib import import_module\np = lambda a: import_module('.rules', 'app')",
    ],
)
def test_a_module_of_which_nobody_knows_the_name_has_a_digest_for_each_process(
    tmp_path: Path, source: str
) -> None:
    first, again = (digest_in_a_process(tmp_path / str(place), source, 100) for place in range(2))
    assert first != again

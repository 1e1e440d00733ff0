"""Loads the components of an app, named by a reference such as `package.module:attribute`."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from kern.components.component import Component
from kern.components.registry import registry
from kern.db.engine.databases import store_of
from kern.db.engine.store import Store
from kern.errors import InvalidDefinition, InvalidInput

_USAGE = "Write package.module:attribute or path/to/file.py:attribute."


def load_app(reference: str) -> list[Component]:
    """Import an app and register its components, so that this process can execute their runs.

    Modules are searched in the current directory first, as with `python -m`. A file can also import
    its neighbours, as with `python path/to/file.py`.

    Args:
        reference: `package.module:attribute` or `path/to/file.py:attribute`. The attribute is a
            component, or a list, tuple or dict of them. Without an attribute: all components of the
            module.

    Raises:
        InvalidInput: There is no such module or attribute, or it is not a component.
        InvalidDefinition: Two different components have one id.
    """
    where, attribute = _split(reference)
    module = _from_file(where) if _is_file(where) else _from_name(where)
    if attribute is None:
        components = _components_of(module, reference)
    else:
        components = list(_components(_attribute(module, attribute, reference), reference))
    if not components:
        message = f"The app {reference!r} holds no component. Put an Agent into it."
        raise InvalidInput(message)
    for component in components:
        registry.register(component)
    return components


def database_of(components: Sequence[Component]) -> Store | None:
    """Return the database that an app's components name with `db=`; None if they name none.

    Raises:
        InvalidDefinition: They name two, but one process keeps its runs in one.
    """
    databases = {item.db.name: item.db for item in components if item.db is not None}
    if len(databases) > 1:
        first, second, *_ = sorted(databases)
        message = (
            f"The app's components name the databases {first} and {second}, but one process keeps "
            "its runs in one. Leave db= out, or give each database a worker of its own."
        )
        raise InvalidDefinition(message)
    database = next(iter(databases.values()), None)
    return None if database is None else store_of(database)


def _split(reference: str) -> tuple[str, str | None]:
    where, colon, attribute = reference.partition(":")
    if not where or (colon and not attribute):
        raise InvalidInput(f"{reference!r} names no app. {_USAGE}")
    return where, attribute or None


def _is_file(where: str) -> bool:
    return where.endswith(".py") or "/" in where


def _from_name(name: str) -> ModuleType:
    _look_in(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _not_importable(name, error) from error
    except (TypeError, ValueError) as error:
        if all(part.isidentifier() for part in name.split(".")):
            raise
        raise InvalidInput(f"{name!r} is no module's name. {_USAGE}") from error


def _from_file(where: str) -> ModuleType:
    path = Path(where).expanduser().resolve()
    if not path.is_file():
        raise InvalidInput(f"There is no file {where!r} in {str(Path.cwd())!r}. {_USAGE}")
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    # A file may have the name of a module that others import, such as `client.py`.
    name = path.stem if loaded is None else f"{path.stem}__app"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{where!r} is no Python file. {_USAGE}")
    _look_in(Path.cwd())
    _look_in(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, ModuleNotFoundError):
            raise _not_importable(name, error) from error
        raise
    return module


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _not_importable(name: str, error: ModuleNotFoundError) -> InvalidInput:
    missing = error.name or ""
    if name == missing or name.startswith(f"{missing}."):
        return InvalidInput(
            f"There is no module {missing!r} in {str(Path.cwd())!r} or among the installed "
            f"packages. {_USAGE}"
        )
    return InvalidInput(
        f"The app's module {name!r} imports {missing!r}, which is not there. Install it, or start "
        "from the folder that holds it."
    )


def _attribute(module: ModuleType, attribute: str, reference: str) -> object:
    value: object = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as error:
            there = sorted(key for key, item in vars(module).items() if isinstance(item, Component))
            message = (
                f"The app {reference!r}: {module.__name__!r} has no {attribute!r}. "
                f"Components in it: {', '.join(there) or 'none'}."
            )
            raise InvalidInput(message) from error
    return value


def _components(value: object, reference: str) -> Iterator[Component]:
    if isinstance(value, Component):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _components(item, reference)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _components(item, reference)
    else:
        message = (
            f"The app {reference!r} holds a value of type {type(value).__name__}, which is no "
            "component. Name an Agent, or a list, tuple or dict of them."
        )
        raise InvalidInput(message)


def _components_of(module: ModuleType, reference: str) -> list[Component]:
    components = [item for item in vars(module).values() if isinstance(item, Component)]
    if not components:
        message = f"The module {reference!r} declares no component. {_USAGE}"
        raise InvalidInput(message)
    return list(dict.fromkeys(components))

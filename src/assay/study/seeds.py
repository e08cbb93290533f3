"""`seeds: N` under a classifier: it is trained N times, under names of its own, wherever it is named."""

from __future__ import annotations

from typing import Any

MOST_SEEDS = 100


def with_all_seeds(config: Any) -> Any:
    """A study's config in which each classifier of N seeds stands N times: NAME, NAME-2, …, NAME-N.

    Blocks of the grid that name it, as a classifier or as a source, have all of them. What is not understood is left as
    it is, for the models to refuse.
    """
    if not isinstance(config, dict) or not isinstance(config.get("classifiers"), dict):
        return config
    families = {name: _family(name, keys) for name, keys in config["classifiers"].items()}
    if all(len(family) == 1 for family in families.values()):
        return config
    classifiers: dict[Any, Any] = {}
    for name, keys in config["classifiers"].items():
        for place, member in enumerate(families[name]):
            if member in classifiers or (place and member in families):
                raise ValueError(f"classifiers.{name}.seeds: '{member}' is the name of another classifier; rename it")
            classifiers[member] = _trained_with(keys, place) if len(families[name]) > 1 else keys
    found = config | {"classifiers": classifiers}
    if isinstance(config.get("cross"), list):
        found["cross"] = [_with_families(block, families) for block in config["cross"]]
    return found


def _family(name: Any, keys: Any) -> list[Any]:
    seeds = keys.get("seeds") if isinstance(keys, dict) else None
    if type(seeds) is not int or not 1 < seeds <= MOST_SEEDS or type(keys.get("seed", 0)) is not int:
        return [name]
    return [name, *(f"{name}-{number}" for number in range(2, seeds + 1))]


def _trained_with(keys: dict[str, Any], place: int) -> dict[str, Any]:
    """The keys of one of the trainings: the seed of each is one more than that of the one before."""
    return {key: value for key, value in keys.items() if key != "seeds"} | {"seed": keys.get("seed", 0) + place}


def _with_families(block: Any, families: dict[Any, list[Any]]) -> Any:
    if not isinstance(block, dict):
        return block
    named = {key: block[key] for key in ("classifiers", "sources") if isinstance(block.get(key), list)}
    return block | {
        key: [member for name in names for member in _members(name, families)] for key, names in named.items()
    }


def _members(name: Any, families: dict[Any, list[Any]]) -> list[Any]:
    return families.get(name, [name]) if isinstance(name, str) else [name]

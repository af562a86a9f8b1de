"""The model card: what an exported encoder is, what it wants to see, and how well it was measured to do."""

from typing import Any

from fastssl.data.cards import card_names, load_card
from fastssl.probing.subject import Subject
from fastssl.runs.read import Run
from fastssl.views import ViewSpec

LICENCE = (
    "The weights were learned from the dataset named here, whose licence bears on them ({licence}); "
    "the code that trained them is Apache-2.0."
)


def card_of(subject: Subject, run: Run, plain: ViewSpec, code: str | None) -> dict[str, Any]:
    """The card as JSON; `plain` is the view that the run's probes show, `code` builds the network."""
    recipe, last = subject.recipe, run.last
    known = recipe.data.dataset in card_names()
    licence = load_card(recipe.data.dataset).licence if known else "not known here"
    return {
        "architecture": recipe.model.arch,
        "model": {name: value for name, value in run.recipe["model"].items() if value is not None},
        "feature_dim": subject.dim,
        "input_size": plain.size,
        "input_shape": ["n", 3, plain.size, plain.size],
        "channels": "RGB",
        "value_range": "pixels from 0 to 255 divided by 255, less mean, divided by std, per channel; float32",
        "mean": list(plain.mean or ()),
        "std": list(plain.std or ()),
        "preprocessing": preprocessing(plain),
        "dataset": {"name": recipe.data.dataset, "split": recipe.data.train_split, **_fingerprint(run)},
        "method": recipe.method.kind,
        "recipe": recipe.name,
        "identity": run.identity,
        "run": run.run_id,
        "step": subject.step,
        "finished": run.state == "finished",
        "code": None if last is None else last["code"],
        "probe": _probe(run, subject.step),
        "licence": LICENCE.format(licence=licence),
        "rebuild": code,
    }


def preprocessing(plain: ViewSpec) -> str:
    """In words."""
    share = plain.central or 1.0
    part = "the largest central square" if share == 1 else f"the central square of {share:g} of the shorter side"
    return (
        f"take {part} of the image, resize it to {plain.size} x {plain.size} (bilinear, antialiased), RGB, divide by "
        "255, subtract mean and divide by std per channel, channels first"
    )


def _fingerprint(run: Run) -> dict[str, str]:
    return {"fingerprint": run.facts["fingerprint"]} if "fingerprint" in run.facts else {}


def _probe(run: Run, step: int) -> dict[str, Any] | None:
    """Of these very weights; None where they were not probed."""
    at = [point for point in run.points if point["case"]["step"] == step]
    if not at:
        return None
    names = [name for metric in ("ridge", "knn") for name in (metric, f"{metric}_se")]
    return {"protocol": at[-1]["case"]["protocol"]} | {n: at[-1]["metrics"][n] for n in names if n in at[-1]["metrics"]}


def markdown(card: dict[str, Any], name: str) -> str:
    """The card for people."""
    probe = card["probe"]
    lines = [f"# {name}", ""]
    lines += [f"Encoder `{card['architecture']}` of run `{card['run']}`, step {card['step']:,}", ""]
    lines += [f"- format: {card['format']}; largest difference from the library on {card['checked_images']} images: "
              f"{card['max_abs_error']:.2g}"]  # fmt: skip
    lines += [f"- input: (n, 3, {card['input_size']}, {card['input_size']}), {card['channels']}; {card['value_range']}"]
    lines += [f"- mean: {card['mean']}", f"- std: {card['std']}", f"- preprocessing: {card['preprocessing']}"]
    lines += [f"- output: features (n, {card['feature_dim']}), float32"]
    lines += [f"- learned from: {card['dataset']['name']}, split {card['dataset']['split']}, by {card['method']}"]
    lines += [f"- recipe: {card['recipe']}, identity `{card['identity']}`"]
    lines += [f"- code: {(card['code'] or {}).get('commit') or 'unknown commit'}"]
    if probe is None:
        lines.append("- probe: these weights were not probed")
    else:
        told = [f"{m} {probe[m]:.2%} (standard error {100 * probe[f'{m}_se']:.2f})" for m in ("ridge", "knn")]
        lines.append(f"- probe: {', '.join(told)}; {probe['protocol']}")
    lines.append(f"- licence: {card['licence']}")
    if card["rebuild"]:
        lines += ["", "The network in plain torch:", "", "```python", card["rebuild"], "```"]
    return "\n".join([*lines, ""])

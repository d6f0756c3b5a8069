"""Judge SFAM against its peers on a trained tree's node."""

from prefect import flow

from flows.console import say
from flows.parameters import JudgeParameters
from flows.tracked_run import tracked_run
from infra.runners import check_engine, task_runner, training_resources
from infra.settings import load_settings
from infra.tracking import fetch_model
from tasks.judge import JudgeRun
from tasks.judge import judge_maps as judge
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.store import open_store


@flow(name="judge-maps", flow_run_name="judge {parameters.store.name}", task_runner=task_runner(load_settings()))
def judge_maps(parameters: JudgeParameters) -> list[str]:
    """Measure every method's maps on the same pairs: faithfulness, localisation, sanity.

    Args:
        parameters: the model, the data, how many pairs, and where the tables go.

    Returns:
        The tables in Markdown.

    Raises:
        InputError: the model, the store, the node or the segment cannot be used, or the photos make too few pairs.
    """
    settings = load_settings()
    check_engine(settings, say)
    store = open_store(parameters.store.resolve())
    model = fetch_model(parameters.model, settings)
    node = parameters.node or open_trained_tree(model).tree.root.name
    facts = {"model": str(model), "store": str(store.path), "node": node, "pairs": parameters.pairs}
    with tracked_run(settings.tracking_uri, store.source, facts) as run_id, training_resources(settings):
        run = JudgeRun(
            model=str(model),
            store=str(store.path),
            node=node,
            segment=parameters.segment,
            avsl=str(parameters.avsl.resolve()) if parameters.avsl else None,
            pairs=parameters.pairs,
            seed=parameters.seed,
            device=settings.torch_device,
            decoded=str(settings.decoded),
            out=str(parameters.out.resolve()),
            tracking=settings.tracking_uri,
            run_id=run_id,
        )
        tables: list[str] = judge.submit(run).result()
    for table in tables:
        say(table)
    say(f"tables: {parameters.out / 'judgement.md'}")
    return tables

"""The method's part of the benchmark: all that needs no Prefect, Dask or MLflow."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tasks.bench.bench_row import BenchRow
from tasks.bench.bench_setting import BenchSetting
from tasks.bench.memory_cost import memory_rows
from tasks.bench.precision_speed import PrecisionBench
from tasks.bench.segmenting_speed import segmenting_rows
from tasks.bench.store_cost import StoreBench
from tasks.bench.training_loop import LoopBench
from tasks.bench.whole_tree import WholeTreeBench
from tasks.metric.options import TrainingOptions
from tasks.segments.portraits import PortraitSource, PortraitSpec
from tasks.segments.shards import make_shard, plan_shards
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.tree import SegmentTree, balanced_tree

SIZE = 64
TRADITIONAL_EPOCHS = (6, 12, 24, 48)
SPEC = PortraitSpec(train=1280, validation=320, size=2 * SIZE)  # photos are larger than what a node sees of them


@dataclass(frozen=True, kw_only=True)
class MethodBench:
    """What the comparisons work on.

    Attributes:
        setting: of the benchmark.
        store: a segment store; None draws 1,600 portraits.
        tree: over its classes; None pairs all of them.
    """

    setting: BenchSetting
    store: SegmentStore | None = None
    tree: SegmentTree | None = None

    def rows(self, part: str) -> Iterator[BenchRow]:
        """The comparisons of one of `METHOD_PARTS`."""
        return METHOD_PARTS[part](self)

    def data(self) -> tuple[SegmentStore, SegmentTree]:
        """The given store and tree, or the drawn ones."""
        store = self.store or self._drawn()
        return store, self.tree or balanced_tree([name for number, name in sorted(store.classes.items()) if number])

    def _drawn(self) -> SegmentStore:
        folder, source = self.setting.folder / "portraits", PortraitSource(replace(SPEC, seed=self.setting.seed))
        if not folder.exists():
            for plan in plan_shards(source, source.classes(), None):
                make_shard(source, plan, folder, source.classes(), None, {})
        return open_store(folder)

    def _options(self) -> TrainingOptions:
        own = self.setting
        return TrainingOptions(size=SIZE, seed=own.seed, threads=own.threads, device=own.device, epochs=1)

    def _loop(self) -> Iterator[BenchRow]:
        store, tree = self.data()
        return LoopBench(setting=self.setting, store=store, node=tree.root, options=self._options()).rows()

    def _store(self) -> Iterator[BenchRow]:
        store, tree = self.data()
        return StoreBench(setting=self.setting, store=store, tree=tree, options=self._options()).rows()

    def _tree(self) -> Iterator[BenchRow]:
        store, tree = self.data()
        options = replace(
            self._options(), trunk="small", framing="auto", threads=1, learning_rate=1e-3, epochs=6, combined_epochs=1
        )
        bench = WholeTreeBench(
            setting=self.setting, store=store, tree=tree, options=options, traditional_epochs=TRADITIONAL_EPOCHS
        )
        return bench.rows()


METHOD_PARTS: Mapping[str, Callable[[MethodBench], Iterator[BenchRow]]] = {
    "loop": lambda bench: bench._loop(),
    "store": lambda bench: bench._store(),
    "precision": lambda bench: PrecisionBench(setting=bench.setting).rows(),
    "segmenting": lambda bench: segmenting_rows(bench.setting),
    "memory": lambda bench: memory_rows(bench.setting),
    "tree": lambda bench: bench._tree(),
}
"""Name to comparisons."""

// SPDX-License-Identifier: BSL-1.0
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

final class Main {
    static final class Tree {
        final Tree left, right;

        Tree(Tree left, Tree right) {
            this.left = left;
            this.right = right;
        }
        long count() {
            return left == null ? 1 : 1 + left.count() + right.count();
        }
    }

    static Tree bottomUp(int depth) {
        if (depth == 0) return new Tree(null, null);
        Tree left = bottomUp(depth - 1);
        Tree right = bottomUp(depth - 1);
        return new Tree(left, right);
    }

    static long nodes(int depth) {
        return (2L << depth) - 1;
    }

    static void allTreesOf(int depth, int deepest, int workers) {
        long trees = 1L << (deepest - depth + 4);
        AtomicLong counted = new AtomicLong();
        Bench.onWorkers(workers, worker -> {
            long mine = 0;
            for (long i = worker; i < trees; i += workers) mine += bottomUp(depth).count();
            counted.addAndGet(mine);
        });
        Bench.require(counted.get() == trees * nodes(depth), "a tree has lost a node");
    }

    static void run(int deepest, int workers) {
        Bench.require(bottomUp(deepest + 1).count() == nodes(deepest + 1), "the stretch tree has lost a node");
        Tree longLived = bottomUp(deepest);
        for (int depth = 4; depth <= deepest; depth += 2) allTreesOf(depth, deepest, workers);
        Bench.require(longLived.count() == nodes(deepest), "the tree that stays has lost a node");
    }

    public static void main(String[] given) {
        Map<String, Integer> args = Bench.arguments(given, "depth", 18);
        Bench.print(Map.of("wall_ms", Bench.timed(() -> run(args.get("depth"), args.get("procs"))) / 1e6));
    }
}

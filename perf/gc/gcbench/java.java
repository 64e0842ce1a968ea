// SPDX-License-Identifier: BSL-1.0
import java.util.Map;

final class Main {
    static final class Node {
        Node left, right;
        int i, j;
    }

    /** Builds a tree below a node, from the top. */
    static void populate(int depth, Node node) {
        if (depth == 0) return;
        node.left = new Node();
        node.right = new Node();
        populate(depth - 1, node.left);
        populate(depth - 1, node.right);
    }

    static Node makeTree(int depth) {
        if (depth == 0) return new Node();
        Node left = makeTree(depth - 1), right = makeTree(depth - 1);
        Node made = new Node();
        made.left = left;
        made.right = right;
        return made;
    }

    static int size(Node node) {
        return node == null ? 0 : 1 + size(node.left) + size(node.right);
    }

    static int treeSize(int depth) {
        return (2 << depth) - 1;
    }

    static Node last;  // keeps the compiler from finding that nobody wants the trees

    static void construct(int depth, int stretch) {
        int rounds = 2 * treeSize(stretch) / treeSize(depth);
        for (int i = 0; i < rounds; ++i) {
            last = new Node();
            populate(depth, last);
        }
        for (int i = 0; i < rounds; ++i) last = makeTree(depth);
    }

    static void bench(int stretch) {
        last = makeTree(stretch);
        last = null;
        Node longLived = new Node();
        populate(stretch - 2, longLived);
        double[] array = new double[500_000];
        for (int i = 1; i < array.length / 2; ++i) array[i] = 1.0 / i;
        for (int depth = 4; depth <= stretch - 2; depth += 2) construct(depth, stretch);
        Bench.require(size(longLived) == treeSize(stretch - 2), "the tree that stays has lost a node");
        Bench.require(array[1000] == 1.0 / 1000, "the array that stays has lost a number");
    }

    public static void main(String[] given) {
        Map<String, Integer> args = Bench.arguments(given, "stretch", 18);
        Bench.print(Map.of("wall_ms", Bench.timed(() -> bench(args.get("stretch"))) / 1e6));
    }
}

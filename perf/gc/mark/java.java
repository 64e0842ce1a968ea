// SPDX-License-Identifier: BSL-1.0
import java.util.Arrays;
import java.util.Map;

final class Main {
    /** 64 bytes: a header of 12, a reference of 4, six words. */
    static final class Marked {
        Marked other;
        final long number;
        long c1, c2, c3, c4, c5;

        Marked(long number) {
            this.number = number;
        }
    }

    /** Nanoseconds of the middle one of three collections. This collector moves objects, too. */
    static double collection() {
        double[] ns = new double[3];
        for (int i = 0; i < ns.length; ++i) ns[i] = Bench.timed(System::gc);
        Arrays.sort(ns);
        return ns[1];
    }

    public static void main(String[] given) {
        int objects = Bench.arguments(given, "objects", 8_000_000).get("objects");
        Marked[] all = new Marked[objects];
        for (int i = 0; i < objects; ++i) all[i] = new Marked(i);
        double inOrder = collection() / objects;
        Random choice = new Random(1);
        for (int i = objects - 1; i > 0; --i) {
            int j = choice.below(i + 1);
            Marked one = all[i];
            all[i] = all[j];
            all[j] = one;
        }
        double shuffled = collection() / objects;
        long sum = 0;
        for (Marked one : all) sum += one.number;
        Bench.require(sum == (long) objects * (objects - 1) / 2, "an object was lost");
        Bench.print(Map.of("in_order_ns", inOrder, "shuffled_ns", shuffled));
    }
}

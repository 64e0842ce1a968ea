// SPDX-License-Identifier: BSL-1.0
//
// What every contender in Java needs: arguments, the clock, workers, the report. As common/bench.hpp, random.hpp and
// waits.hpp for C++.
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntConsumer;

final class Bench {
    private Bench() {}

    static void require(boolean holds, String what) {
        if (holds) return;
        System.err.println("error: " + what);
        System.exit(1);
    }

    /** The `--name value` pairs of the command line; `defaults` are names and values by turns. */
    static Map<String, Integer> arguments(String[] given, Object... defaults) {
        Map<String, Integer> values = new TreeMap<>(Map.of("procs", 1, "ms", 100));
        for (int i = 0; i < defaults.length; i += 2) values.put((String) defaults[i], (Integer) defaults[i + 1]);
        for (int i = 0; i < given.length; i += 2) {
            String name = given[i].startsWith("--") ? given[i].substring(2) : "";
            require(values.containsKey(name), "unknown option '" + given[i] + "'");
            require(i + 1 < given.length && given[i + 1].matches("[0-9]{1,9}"), given[i] + " needs a number");
            values.put(name, Integer.parseInt(given[i + 1]));
        }
        require(values.get("procs") > 0, "--procs must be at least 1");
        return values;
    }

    /** Nanoseconds that f takes. */
    static double timed(Runnable f) {
        long begin = System.nanoTime();
        f.run();
        return System.nanoTime() - begin;
    }

    /** Runs f(0) ... f(count - 1) at once and returns when all have ended. */
    static void onWorkers(int count, IntConsumer f) {
        Thread[] all = new Thread[count];
        for (int i = 0; i < count; ++i) {
            int worker = i;
            all[i] = new Thread(() -> f.accept(worker));
            all[i].setUncaughtExceptionHandler((thread, error) -> require(false, error.toString()));
            all[i].start();
        }
        for (Thread one : all) {
            try {
                one.join();
            } catch (InterruptedException e) {
                require(false, "interrupted");
            }
        }
    }

    static double residentBytes() {
        try {
            for (String line : java.nio.file.Files.readAllLines(java.nio.file.Path.of("/proc/self/status"))) {
                if (line.startsWith("VmRSS:")) return Double.parseDouble(line.replaceAll("[^0-9]", "")) * 1024;
            }
        } catch (java.io.IOException e) {
            require(false, "cannot read /proc/self/status");
        }
        return 0;
    }

    static void print(Map<String, Double> metrics) {
        StringBuilder line = new StringBuilder("{\"notes\": {}");
        metrics.forEach((name, value) -> line.append(", \"").append(name).append("\": ").append(value));
        System.out.println(line.append('}'));
    }
}

/** xorshift64, as in the other languages. */
final class Random {
    private long state;

    Random(int seed) {
        state = seed * 0x9e3779b97f4a7c15L + 1;
    }
    long next() {
        state ^= state << 13;
        state ^= state >>> 7;
        state ^= state << 17;
        return state;
    }
    int below(int n) {
        return (int) ((next() >>> 33) % n);
    }
}

/** The distribution of many times, to 1/64 of each. */
final class Waits {
    private final long[] buckets = new long[40 * 64];
    private long count, worst;

    void add(long ns) {
        ns = Math.max(ns, 0);
        worst = Math.max(worst, ns);
        ++count;
        ++buckets[index(ns)];
    }
    synchronized void addAll(Waits other) {
        for (int i = 0; i < buckets.length; ++i) buckets[i] += other.buckets[i];
        count += other.count;
        worst = Math.max(worst, other.worst);
    }
    long count() {
        return count;
    }
    void print(Map<String, Double> metrics, String what) {
        String[] names = {"p50", "p90", "p99", "p999", "p9999"};
        double[] shares = {0.5, 0.9, 0.99, 0.999, 0.9999};
        for (int i = 0; i < names.length; ++i) metrics.put(what + "_" + names[i] + "_ns", at(shares[i]));
        metrics.put(what + "_worst_ns", (double) worst);
    }
    private double at(double q) {
        long rank = (long) (q * count), seen = 0;
        for (int i = 0; i < buckets.length; ++i) {
            seen += buckets[i];
            if (seen > rank) return Math.min(worst, valueOf(i));
        }
        return worst;
    }
    private static int index(long ns) {
        ns = Math.min(ns, (1L << 44) - 1);
        int shift = Math.max(0, 64 - Long.numberOfLeadingZeros(ns) - 7);
        return shift * 64 + (int) (ns >> shift);
    }
    private static long valueOf(int i) {
        return i < 128 ? i : ((i % 64 + 65L) << (i / 64 - 1)) - 1;
    }
}

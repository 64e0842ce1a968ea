// SPDX-License-Identifier: BSL-1.0
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;

final class Main {
    /** 96 bytes: a header of 12, a reference of 4, ten words. */
    static final class Entry {
        final Entry older;
        final long key;
        long c1, c2, c3, c4, c5, c6, c7, c8, last;

        Entry(Entry older, long key) {
            this.older = older;
            this.key = key;
            last = ~key;
        }
    }

    static final int ENTRY_BYTES = 96, ENTRIES_EACH = 10;

    static void fill(Entry[] buckets, int at, long key) {
        for (int i = 0; i < ENTRIES_EACH; ++i) buckets[at] = new Entry(buckets[at], key + i);
    }

    /** Checks the entries, and lets go of them. */
    static void empty(Entry[] buckets, int from) {
        int entries = 0;
        for (Entry at = buckets[from]; at != null; at = at.older) {
            Bench.require(at.last == ~at.key, "an entry was overwritten");
            ++entries;
        }
        Bench.require(entries == ENTRIES_EACH, "a bucket has lost an entry");
        buckets[from] = null;
    }

    /** Replaces what is in the buckets of one worker. */
    static void work(Entry[] buckets, int worker, int workers, long until, Waits to) {
        Random choice = new Random(worker + 1);
        Waits times = new Waits();
        int share = buckets.length / workers;
        for (long begin = System.nanoTime(); begin < until;) {
            for (int i = 0; i < 8; ++i) {
                int one = worker * share + choice.below(share);
                empty(buckets, one);
                fill(buckets, one, choice.next());
                long end = System.nanoTime();
                times.add(end - begin);
                begin = end;
            }
        }
        to.addAll(times);
    }

    /** Sleeps, and notes how much later than asked for it goes on. */
    static void beat(long period, long until, Waits late) {
        for (long due = System.nanoTime() + period; due < until; due = Math.max(due + period, System.nanoTime())) {
            for (long left; (left = due - System.nanoTime()) > 0;) LockSupport.parkNanos(left);
            late.add(System.nanoTime() - due);
        }
    }

    public static void main(String[] given) {
        Map<String, Integer> args = Bench.arguments(given, "mib", 954, "seconds", 5, "beat_us", 250);
        int workers = args.get("procs");
        Entry[] all = new Entry[(int) ((long) args.get("mib") * (1 << 20) / (ENTRY_BYTES * ENTRIES_EACH))];
        Bench.require(all.length > 0, "--mib is too small");
        for (int i = 0; i < all.length; ++i) fill(all, i, i);
        Waits operations = new Waits(), beats = new Waits();
        long until = System.nanoTime() + args.get("seconds") * 1_000_000_000L;
        Bench.onWorkers(workers + 1, i -> {
            if (i < workers) {
                work(all, i, workers, until, operations);
            } else {
                beat(args.get("beat_us") * 1000L, until, beats);
            }
        });
        Map<String, Double> metrics = new TreeMap<>();
        metrics.put("kops", operations.count() / 1e3 / args.get("seconds"));
        metrics.put("resident_over_live", Bench.residentBytes() / ((double) args.get("mib") * (1 << 20)));
        operations.print(metrics, "operation");
        beats.print(metrics, "beat");
        for (int i = 0; i < all.length; ++i) empty(all, i);
        Bench.print(metrics);
    }
}

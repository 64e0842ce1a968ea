// SPDX-License-Identifier: BSL-1.0
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

final class Main {
    static final int BYTES = 1024;
    static final byte[] PATTERN = new byte[BYTES + 251];  // what message i has begins at place i % 251

    static void pushMessages(int size, int messages, Waits times) {
        for (int i = 0; i < PATTERN.length; ++i) PATTERN[i] = (byte) (i % 251);
        byte[][] ring = new byte[size][];
        for (int i = 0; i < size + messages; ++i) {
            long begin = System.nanoTime();
            byte[] fresh = new byte[BYTES];
            System.arraycopy(PATTERN, i % 251, fresh, 0, BYTES);
            ring[i % size] = fresh;
            if (i >= size) times.add(System.nanoTime() - begin);
        }
        for (int i = messages; i < size + messages; ++i) {
            Bench.require(Arrays.equals(ring[i % size], 0, BYTES, PATTERN, i % 251, i % 251 + BYTES),
                          "a message was overwritten");
        }
    }

    public static void main(String[] given) {
        Map<String, Integer> args = Bench.arguments(given, "size", 200_000, "messages", 2_000_000);
        Bench.require(args.get("size") > 0, "--size must be at least 1");
        Waits times = new Waits();
        Map<String, Double> metrics = new TreeMap<>();
        metrics.put("wall_ms", Bench.timed(() -> pushMessages(args.get("size"), args.get("messages"), times)) / 1e6);
        times.print(metrics, "push");
        Bench.print(metrics);
    }
}

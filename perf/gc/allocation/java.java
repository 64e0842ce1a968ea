// SPDX-License-Identifier: BSL-1.0
import java.util.Map;

final class Main {
    // A header of 12 bytes and a reference of 4, then words.
    static final class Cell16 {
        Cell16 other;
    }
    static final class Cell32 {
        Cell32 other;
        long c1, c2;
    }
    static final class Cell64 {
        Cell64 other;
        long c1, c2, c3, c4, c5, c6;
    }

    static final int WINDOW = 1024;

    static void makeCells16(int objects) {
        Cell16[] recent = new Cell16[WINDOW];
        for (int i = 0; i < objects; ++i) recent[i % WINDOW] = new Cell16();
        for (Cell16 one : recent) Bench.require(one != null && one.other == null, "an object was overwritten");
    }
    static void makeCells32(int objects) {
        Cell32[] recent = new Cell32[WINDOW];
        for (int i = 0; i < objects; ++i) recent[i % WINDOW] = new Cell32();
        for (Cell32 one : recent) Bench.require(one != null && one.other == null, "an object was overwritten");
    }
    static void makeCells64(int objects) {
        Cell64[] recent = new Cell64[WINDOW];
        for (int i = 0; i < objects; ++i) recent[i % WINDOW] = new Cell64();
        for (Cell64 one : recent) Bench.require(one != null && one.other == null, "an object was overwritten");
    }

    static double measure(Map<String, Integer> args, java.util.function.IntConsumer makeCells) {
        int objects = args.get("objects");
        return Bench.timed(() -> Bench.onWorkers(args.get("procs"), worker -> makeCells.accept(objects))) / objects;
    }

    public static void main(String[] given) {
        Map<String, Integer> args = Bench.arguments(given, "objects", 20_000_000);
        Bench.require(args.get("objects") >= WINDOW, "--objects must be at least 1024");
        Bench.print(Map.of("object_16_ns", measure(args, Main::makeCells16), "object_32_ns",
                           measure(args, Main::makeCells32), "object_64_ns", measure(args, Main::makeCells64)));
    }
}

# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# javac and java: the class files and what the program says must be the same.
packages='default-jdk-headless'
processes='javac java'

prepare() {
  cat >"$shared/Program.java" <<'END'
import java.nio.ByteBuffer;
import java.util.*;
import java.util.stream.*;
import java.util.zip.*;

public class Program {
  record Row(int id, String text) {}
  static long pack(int round) {
    try {
      Deflater d = new Deflater();  // native memory
      byte[] text = IntStream.range(0, 20000).mapToObj(i -> "row " + i * round)
          .collect(Collectors.joining(",")).getBytes();
      d.setInput(text); d.finish();
      byte[] out = new byte[text.length];
      int n = d.deflate(out);
      d.end();
      ByteBuffer direct = ByteBuffer.allocateDirect(1 << 20);
      direct.put(out, 0, n).flip();
      CRC32 crc = new CRC32();
      crc.update(direct);
      return crc.getValue() + n;
    } catch (Exception e) { throw new RuntimeException(e); }
  }
  public static void main(String[] a) {
    Map<Integer, List<Row>> rows = IntStream.range(0, 300000).mapToObj(i -> new Row(i, "r" + i % 1000))
        .collect(Collectors.groupingBy(r -> r.text().hashCode() % 100, TreeMap::new, Collectors.toList()));
    long sum = IntStream.range(0, Integer.parseInt(a[0])).parallel().mapToLong(Program::pack).sum();
    System.out.println(rows.size() + " " + rows.get(0).size() + " " + sum);
  }
}
END
}

work() {
  javac -d . "$shared/Program.java"
  java -cp . Program "$([[ -n $quick ]] && echo 50 || echo 600)"
}

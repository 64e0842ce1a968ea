# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2016
#
# php: its modules, which Debian's php opens with RTLD_DEEPBIND, so that what one heap gives would come back to another.
packages='php8.2-cli php8.2-mbstring php8.2-xml php8.2-curl php8.2-intl php8.2-sqlite3 php8.2-gd php8.2-opcache'
processes='php8.2'

work() {
  # The memory of php itself comes from malloc too.
  USE_ZEND_ALLOC=0 rounds=${quick:+50} php8.2 -d opcache.enable_cli=1 -d opcache.file_update_protection=0 -r '
    foreach (["mbstring", "dom", "simplexml", "xmlreader", "curl", "intl", "sqlite3", "gd", "Zend OPcache"] as $module)
      if (!extension_loaded($module)) { echo "$module is not loaded\n"; exit(1); }
    $sum = "";
    for ($round = 0; $round < (getenv("rounds") ?: 500); $round++) {
      $words = array_map(fn($i) => mb_convert_case("straße $round $i", MB_CASE_UPPER, "UTF-8"), range(1, 50));
      $document = new DOMDocument();
      $root = $document->appendChild($document->createElement("words"));
      foreach ($words as $word) $root->appendChild($document->createElement("word", $word));
      $xml = simplexml_load_string($document->saveXML());
      $reader = new XMLReader();
      $reader->XML($document->saveXML());
      for ($nodes = 0; $reader->read(); $nodes++);
      $database = new SQLite3(":memory:");
      $database->exec("create table t (word text)");
      foreach ($xml->word as $word) $database->exec("insert into t values (\"$word\")");
      $last = $database->querySingle("select word from t order by word desc");
      $collator = new Collator("de_DE");
      $collator->sort($words);
      $number = (new NumberFormatter("de_DE", NumberFormatter::DECIMAL))->format($round * 12345.678);
      $latin = mb_convert_encoding($last, "ISO-8859-1", "UTF-8");
      $image = imagecreatetruecolor(64, 64);
      imagefilledellipse($image, 32, 32, $round % 60, 40, imagecolorallocate($image, 200, $round % 256, 0));
      ob_start();
      imagepng($image);
      $png = ob_get_clean();
      $handle = curl_init("file:///etc/hostname");
      curl_setopt($handle, CURLOPT_RETURNTRANSFER, true);
      curl_exec($handle);
      $escaped = curl_escape($handle, $last);
      curl_close($handle);
      $sum = md5("$sum $last $number $nodes $words[7] $escaped " . bin2hex($latin) . md5($png));
      if ($round % 10 == 0) echo "$sum\n";
    }
    try { new DOMDocument("1.0", "nonsense"); simplexml_load_string("<broken"); } catch (Throwable $e) { echo get_class($e); }
    echo "$sum\n";' 2>/dev/null
}

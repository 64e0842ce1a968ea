# SPDX-License-Identifier: BSL-1.0
#
# Hashes of arrays, strings that grow and are cut, a sort.
use strict;
use warnings;

my (%index, @lines);
for my $number (1 .. 60_000) {
  my $line = join ' ', map { 'w' . ($number * $_ * 7919 % 20_011) } 1 .. 8;
  push @lines, $line;
  push @{ $index{$_} }, $number for split / /, $line;
}
my $text = '';
$text .= substr($_, 0, 20) . "\n" for sort @lines;
my $replaced = ($text =~ s/w(\d)(\d+)/<$2$1>/g);
my $sum = 0;
$sum += @{ $index{$_} } * length for keys %index;
delete $index{$_} for grep { /1/ } keys %index;
print join(' ', scalar(@lines), length $text, $replaced, $sum, scalar keys %index), "\n";

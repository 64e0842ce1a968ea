# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2016,SC2164
#
# perl: hashes, strings that grow, sorting, regular expressions, threads of data structures; sums that must agree.
packages='perl'
processes='perl'

work() {
  rounds=${quick:+20} perl -e '
    use strict; use Digest::MD5 qw(md5_hex); use Storable qw(dclone);
    $ENV{PERL_HASH_SEED} = 0;
    my ($digest, %words) = ("");
    for my $round (1 .. ($ENV{rounds} || 60)) {
      my @lines = map { md5_hex("$round $_") } 1 .. 5000;
      $words{substr $_, 0, 4}{$_} = [split //, $_] for grep { /a[0-9]b/ } @lines;
      my $text = join "\n", sort @lines;
      $text =~ s/([0-9]+)/<$1>/g;
      $text .= reverse $text;
      my $copy = dclone(\%words);
      delete $words{(sort keys %words)[0]} if keys %words > 500;
      $digest = md5_hex($digest . $text . join ",", map { scalar keys %{$copy->{$_}} } sort keys %$copy);
      print "$digest\n";
    }'
}

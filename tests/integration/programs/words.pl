# Hashes, strings that grow, sorting, regular expressions, references and a child process.
use strict;
use warnings;

my ($state, %count, @lines) = (12345);
sub dice { $state = ($state * 1103515245 + 12345) % 2147483648; return $state % $_[0] }

for my $n (1 .. 60000) {
    my $word = join '', map { chr(97 + dice(6)) } 1 .. 2 + dice(7);
    $count{$word}++;
    push @lines, "$word " x (1 + dice(4)) if $n % 3 == 0;
}
my @top = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 30];
print "$_ $count{$_}\n" for @top;

my $text = join "\n", @lines;
(my $changed = $text) =~ s/(\w)(\w+)/$2$1/g;
my $matches = () = $changed =~ /aa\b/g;
printf "%d lines, %d bytes, %d matches\n", scalar @lines, length $changed, $matches;

my @tree = map { { id => $_, kids => [ map { [ 1 .. $_ % 9 ] } 1 .. 20 ] } } 1 .. 3000;
my $sum = 0;
for my $node (@tree) { $sum += $node->{id} * @$_ for @{ $node->{kids} } }
print "sum $sum\n";

my $child = open(my $pipe, '-|') // die "fork: $!";
if (!$child) { print scalar(reverse($changed)) =~ tr/a/a/, "\n"; exit 3 }
print "child says $_" while <$pipe>;
close $pipe;
print 'child left ', $? >> 8, "\n";
exit 5;
